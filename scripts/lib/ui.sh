#!/usr/bin/env bash
# What Gantry's scripts print. Sourced by them; plain lines in a pipe, colours only on a terminal (NO_COLOR is respected).
#
#   step "text"        a progress line            note "text"     a detail under it
#   ok "text"          something worked           warn "text"     something to know; goes to stderr
#   fail "text"        something failed; stderr   die "text" [next thing to try]   the same, then exit 1
#   duration SECONDS   prints "42 s" or "3 min 05 s"
#
# A script's --help prints the comment at its top: `usage "$0"`.

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  UI_BOLD=$'\e[1m' UI_RED=$'\e[31m' UI_GREEN=$'\e[32m' UI_YELLOW=$'\e[33m' UI_OFF=$'\e[0m'
else
  UI_BOLD='' UI_RED='' UI_GREEN='' UI_YELLOW='' UI_OFF=''
fi

step() { printf '%s==>%s %s\n' "$UI_BOLD" "$UI_OFF" "$*"; }
note() { printf '    %s\n' "$*"; }
ok() { printf '%sok%s  %s\n' "$UI_GREEN" "$UI_OFF" "$*"; }
warn() { printf '%swarning:%s %s\n' "$UI_YELLOW" "$UI_OFF" "$*" >&2; }
fail() { printf '%serror:%s %s\n' "$UI_RED" "$UI_OFF" "$*" >&2; }

die() {
  fail "$1"
  [[ -z ${2:-} ]] || printf '       %s\n' "$2" >&2
  exit 1
}

duration() {
  local seconds=$1
  if ((seconds < 100)); then
    printf '%d s' "$seconds"
  else
    printf '%d min %02d s' $((seconds / 60)) $((seconds % 60))
  fi
}

# The comment block at the top of a script, without its first line and the leading "# ".
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$1"; }
