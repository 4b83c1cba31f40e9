#!/usr/bin/env bash
# Creates a task that waits, runs commands in its container, and lets it end: what docs/interactive.md tells, in one go.
# Needs a server with a node (gantry dev) and the example image (scripts/lib/busybox-image.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
gantry=${GANTRY:-gantry}
readonly START_SECONDS_MAX=60

task=$("$gantry" task create task.json)
start=$SECONDS
until "$gantry" task shell "$task" true 2>/dev/null; do
  ((SECONDS - start < START_SECONDS_MAX)) || { echo "task $task does not run; see: gantry task show $task" >&2 && exit 1; }
  sleep 0.2
done
# shellcheck disable=SC2016  # the variables and the sum are the container's
"$gantry" task shell "$task" -- sh -c 'echo "in the container of task $TASK_ID:"; ps'
# shellcheck disable=SC2016
echo 'echo $((6*7))' | "$gantry" task shell "$task"
"$gantry" task shell "$task" touch /tmp/done
"$gantry" logs "$task" --follow
