#!/usr/bin/env bash
# Runs a task that leaves files behind, lists them, and downloads one.
#
# Needs `gantry` on the PATH and a Gantry that runs, such as scripts/quickstart or `gantry dev`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

task=$(gantry task create task.json)
gantry logs --follow "$task" | grep -v '^\[taskcluster'
echo "its artifacts:"
gantry task artifacts "$task" | awk 'NR > 1 { print $1 }' | sort
echo "the report's first lines:"
gantry task download "$task" public/report.txt --file - | head -3
