#!/usr/bin/env bash
# Runs the steps of a test run: each with its time limit, its log and its place in the count. Sourced by scripts/test.
#
#   prepare NAME SECONDS_MAX COMMAND...     counts only if it fails (a build, an installation); status = success
#   run_script NAME SECONDS_MAX COMMAND...  counts one, or what its last line says ("N passed, N failed")
#   run_gtest NAME SECONDS_MAX PROGRAM...   counts each of its tests; for programs of GoogleTest
#   skip_step NAME REASON                   shown in the summary, not counted
#   in_lanes FUNCTION...                    each runs its steps one after another, beside those of the others
#   steps_summary                           prints the table and the closing line; status 1 if anything failed
#
# The output of a step goes to $STEPS_LOGS/NAME.log; its end is shown when the step fails. Exit code 77 means "skipped".
# STEPS_DEADLINE, if set, is the value of SECONDS at which the whole run must be over: no step gets more time than that.

# shellcheck source=scripts/lib/ui.sh
source "$(dirname "${BASH_SOURCE[0]}")/ui.sh"

: "${STEPS_LOGS:=build/test-logs}"
readonly STEPS_HEARTBEAT_SECONDS=30
readonly STEPS_KILL_AFTER_SECONDS=10
readonly STEPS_SHOWN_LINES_MAX=100
readonly STEPS_SKIPPED=77
readonly STEPS_TIMED_OUT=124

STEPS_ROWS=()
STEPS_PASSED=0
STEPS_FAILED=0
STEPS_CHILD=

STEPS_LANES=()

# An interrupted run leaves nothing behind: timeout(1) hands the signal on to the whole group of the step.
steps_stop_child() {
  local child
  for child in $STEPS_CHILD ${STEPS_LANES[@]+"${STEPS_LANES[@]}"}; do
    kill -TERM "$child" 2>/dev/null || true
  done
}
trap steps_stop_child EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# steps_execute NAME SECONDS_MAX COMMAND...: sets STEPS_STATUS and STEPS_TOOK.
steps_execute() {
  local name=$1 limit=$2 log=$STEPS_LOGS/$1.log started=$SECONDS ended pulse
  shift 2
  mkdir -p "$STEPS_LOGS"
  if [[ -n ${STEPS_DEADLINE:-} ]] && ((limit > STEPS_DEADLINE - SECONDS)); then
    limit=$((STEPS_DEADLINE - SECONDS))
  fi
  STEPS_TOOK=0
  if ((limit <= 0)); then
    echo "not started: the whole run is out of time" | tee "$log"
    STEPS_STATUS=$STEPS_TIMED_OUT
    return
  fi
  step "$name"
  timeout --kill-after="$STEPS_KILL_AFTER_SECONDS" "$limit" "$@" >"$log" 2>&1 </dev/null &
  STEPS_CHILD=$!
  while true; do
    sleep "$STEPS_HEARTBEAT_SECONDS" >/dev/null 2>&1 &
    pulse=$!
    STEPS_STATUS=0
    wait -n -p ended "$STEPS_CHILD" "$pulse" || STEPS_STATUS=$?
    [[ $ended == "$pulse" ]] || break
    note "$name: running for $((SECONDS - started)) s of at most $limit s: $(steps_last_line "$log")"
  done
  kill "$pulse" 2>/dev/null || true
  wait "$pulse" 2>/dev/null || true
  STEPS_CHILD=
  STEPS_TOOK=$((SECONDS - started))
  if ((STEPS_TOOK >= limit && (STEPS_STATUS == STEPS_TIMED_OUT || STEPS_STATUS == 137))); then
    echo "stopped: it took longer than $limit s" >>"$log"
  fi
}

# The last line of a log that holds something, shortened, without control characters.
steps_last_line() { tail -n 20 "$1" | tr '\r' '\n' | tr -cd '[:print:]\n' | awk 'NF { last = $0 } END { print substr(last, 1, 100) }'; }

# A log without what GoogleTest says of tests that passed and were silent.
steps_without_passed_tests() {
  awk '/^\[ RUN      \]/ { if (held) print held; held = $0; next }
    /^\[       OK \]/ && held { held = ""; next }
    /^\[-----/ || /^$/ { next }
    { if (held) print held; held = ""; print }
    END { if (held) print held }' "$1"
}

# steps_record NAME PASSED FAILED [REMARK]
steps_record() {
  local name=$1 passed=$2 failed=$3 remark=${4:-} result=passed
  STEPS_PASSED=$((STEPS_PASSED + passed))
  STEPS_FAILED=$((STEPS_FAILED + failed))
  if ((failed)); then
    result=FAILED
    fail "$name failed after $(duration "$STEPS_TOOK"); the end of $STEPS_LOGS/$name.log:"
    steps_without_passed_tests "$STEPS_LOGS/$name.log" | tail -n "$STEPS_SHOWN_LINES_MAX" | sed 's/^/    | /'
  elif [[ $remark == skipped* ]]; then
    result=skipped
    note "$name: $remark"
  else
    ok "$name ($(duration "$STEPS_TOOK"))"
  fi
  STEPS_ROWS+=("$name|$result|$passed|$failed|$STEPS_TOOK|$remark")
}

prepare() {
  steps_execute "$@"
  steps_record "$1" 0 $((STEPS_STATUS != 0))
  ((STEPS_STATUS == 0))
}

run_script() {
  local name=$1 last passed=0 failed=0
  steps_execute "$@"
  if ((STEPS_STATUS == STEPS_SKIPPED)); then
    steps_record "$name" 0 0 "skipped: $(steps_last_line "$STEPS_LOGS/$name.log")"
    return 0
  fi
  last=$(steps_last_line "$STEPS_LOGS/$name.log")
  if [[ $last =~ ^([0-9]{1,6})\ passed,\ ([0-9]{1,6})\ failed$ ]]; then
    passed=$((10#${BASH_REMATCH[1]})) failed=$((10#${BASH_REMATCH[2]}))
  elif ((STEPS_STATUS == 0)); then
    passed=1
  fi
  ((STEPS_STATUS == 0 || failed)) || failed=1
  steps_record "$name" "$passed" "$failed"
}

run_gtest() {
  local name=$1 report=$PWD/$STEPS_LOGS/$1.json passed failed skipped remark=
  rm -f "$report"
  steps_execute "$@" --gtest_color=no "--gtest_output=json:$report"
  read -r passed failed skipped < <(steps_gtest_counts "$report")
  # A crash leaves no report; a sanitizer may object after the last test has passed.
  ((STEPS_STATUS == 0 || failed)) || failed=1
  # A program without tests proves nothing.
  ((passed + failed + skipped)) || failed=1
  ((skipped == 0)) || remark="$skipped tests skipped"
  steps_record "$name" "$passed" "$failed" "$remark"
}

# Prints "passed failed skipped" of a report of GoogleTest; "0 0 0" if there is none.
steps_gtest_counts() {
  python3 - "$1" <<'PYTHON'
import json, sys
passed = failed = skipped = 0
try:
    with open(sys.argv[1]) as report:
        for suite in json.load(report)["testsuites"]:
            for test in suite["testsuite"]:
                if test.get("failures"):
                    failed += 1
                elif test.get("status") == "NOTRUN" or test.get("result") in ("SKIPPED", "SUPPRESSED"):
                    skipped += 1
                else:
                    passed += 1
except (OSError, ValueError, KeyError):
    passed = failed = skipped = 0
print(passed, failed, skipped)
PYTHON
}

# What a lane counted comes back through a file; a lane that breaks off leaves none.
in_lanes() {
  local lane row name result passed failed took remark
  for lane in "$@"; do
    rm -f "$STEPS_LOGS/lane-$lane"
    steps_lane "$lane" &
    STEPS_LANES+=("$!")
  done
  wait "${STEPS_LANES[@]}" || true
  STEPS_LANES=()
  for lane in "$@"; do
    if [[ ! -f $STEPS_LOGS/lane-$lane ]]; then
      STEPS_TOOK=0
      : >"$STEPS_LOGS/$lane.log"
      steps_record "$lane" 0 1 "broke off"
      continue
    fi
    while IFS= read -r row; do
      IFS='|' read -r name result passed failed took remark <<<"$row"
      STEPS_PASSED=$((STEPS_PASSED + passed))
      STEPS_FAILED=$((STEPS_FAILED + failed))
      STEPS_ROWS+=("$row")
    done <"$STEPS_LOGS/lane-$lane"
  done
}

steps_lane() {
  trap steps_stop_child EXIT
  trap 'exit 143' TERM
  STEPS_ROWS=() STEPS_LANES=()
  "$1"
  printf '%s\n' ${STEPS_ROWS[@]+"${STEPS_ROWS[@]}"} >"$STEPS_LOGS/lane-$1.part"
  mv "$STEPS_LOGS/lane-$1.part" "$STEPS_LOGS/lane-$1"
}

skip_step() {
  STEPS_TOOK=0
  steps_record "$1" 0 0 "skipped: $2"
}

steps_summary() {
  local row name result passed failed took remark
  printf '\n%-34s %-8s %7s %7s %8s\n' step result passed failed seconds
  for row in ${STEPS_ROWS[@]+"${STEPS_ROWS[@]}"}; do
    IFS='|' read -r name result passed failed took remark <<<"$row"
    printf '%-34s %-8s %7d %7d %8d  %s\n' "$name" "$result" "$passed" "$failed" "$took" "$remark"
  done
  printf '\nlogs: %s; %s in all\n' "$STEPS_LOGS" "$(duration "$SECONDS")"
  printf '%d passed, %d failed\n' "$STEPS_PASSED" "$STEPS_FAILED"
  ((STEPS_FAILED == 0))
}
