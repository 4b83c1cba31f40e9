#!/usr/bin/env bash
# Builds twice with one cache: the second build finds what the first one made. Then throws the cache away.
#
# Needs `gantry` on the PATH and a Gantry that runs, such as scripts/quickstart or `gantry dev` (docs/caches.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for build in first second; do
  echo "the $build build:"
  gantry logs --follow "$(gantry task create task.json)" | grep -v '^\[taskcluster'
done
gantry cache purge local/default example-objects
