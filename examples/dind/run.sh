#!/usr/bin/env bash
# Builds and runs an image inside a task, with a container engine of the task's own.
#
# Needs `gantry` on the PATH and a Gantry that was started with --allow-privileged --dind-image docker:dind, on a machine
# that may pull images and run privileged containers (docs/side-containers.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

gantry logs --follow "$(gantry task create task.json)" | grep -v '^\[taskcluster 2'
