#!/usr/bin/env bash
# Finds a container engine, or installs docker.io and starts one.
#
# Usage: scripts/lib/docker.sh     or: source it and call ensure_docker
#
# An engine that answers on DOCKER_HOST or /var/run/docker.sock is used as it is. Otherwise Debian's docker.io is
# installed and started: through systemd where that runs, else in the background, where it is left running
# (log: /var/log/gantry-dockerd.log; how to stop it is printed). If it does not come up, or cannot run a container,
# it is tried again with what usually helps inside a container or chroot: iptables-legacy or no iptables, the vfs
# storage driver. Needs root or sudo only if no engine answers. Running it again changes nothing.

# shellcheck source=scripts/lib/install.sh
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"

readonly DOCKER_DEFAULT_SOCKET=/var/run/docker.sock
readonly DOCKER_LOG=/var/log/gantry-dockerd.log
readonly DOCKER_PID_FILE=/var/run/gantry-dockerd.pid
readonly DOCKER_DAEMON_PID_FILE=/var/run/docker.pid # dockerd's own
readonly DOCKER_LEGACY_TOOLS=/var/run/gantry-iptables
readonly DOCKER_START_SECONDS_MAX=60
readonly DOCKER_ATTEMPTS_MAX=4
readonly DOCKER_PROBE_SECONDS_MAX=30

# Does an engine answer? Prints nothing.
docker_answers() {
  local host=${DOCKER_HOST:-unix://$DOCKER_DEFAULT_SOCKET}
  if command -v curl >/dev/null; then
    case $host in
      unix://*) docker_ping --unix-socket "${host#unix://}" http://localhost/_ping && return ;;
      tcp://*)
        if [[ -n ${DOCKER_TLS_VERIFY:-} ]]; then
          local certificates=${DOCKER_CERT_PATH:-${HOME:-}/.docker}
          docker_ping --cacert "$certificates/ca.pem" --cert "$certificates/cert.pem" --key "$certificates/key.pem" \
            "https://${host#tcp://}/_ping" && return
        else
          docker_ping "http://${host#tcp://}/_ping" && return
        fi
        ;;
    esac
    return 1
  fi
  command -v docker >/dev/null && timeout 10 docker --host "$host" version >/dev/null 2>&1
}

docker_ping() { curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$@" 2>/dev/null; }

# Is the process of this pid file a dockerd, or about to become one?
docker_process_lives() {
  local pid
  pid=$(as_root cat "$1" 2>/dev/null) && [[ -n $pid ]] && grep -qsxE 'dockerd|nohup|setsid|sh' "/proc/$pid/comm"
}

# docker_wait SECONDS [PID_FILE]: until an engine answers; fails early when the process of the pid file ends.
docker_wait() {
  local start=$SECONDS shown=$SECONDS
  while ((SECONDS - start < $1)); do
    docker_answers && return 0
    [[ -z ${2:-} ]] || docker_process_lives "$2" || return 1
    if ((SECONDS - shown >= 10)); then
      note "waiting for the engine to answer ($((SECONDS - start)) s of at most $1 s)"
      shown=$SECONDS
    fi
    sleep 0.5
  done
  return 1
}

# Control groups, which a chroot or a bare container comes without: the same hierarchies the kernel already uses.
docker_mount_cgroups() {
  [[ -z $(ls -A /sys/fs/cgroup 2>/dev/null) ]] || return 0
  mountpoint -q /proc || as_root mount -t proc proc /proc
  mountpoint -q /sys || as_root mount -t sysfs sysfs /sys
  [[ -z $(ls -A /sys/fs/cgroup 2>/dev/null) ]] || return 0
  local controllers folder one
  if ! grep -qE '^[1-9][0-9]*:[a-z]' /proc/self/cgroup; then
    note "mounting control groups (v2)"
    as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  note "mounting control groups (v1)"
  as_root mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    [[ -n $controllers ]] || continue # the v2 hierarchy beside them
    folder=/sys/fs/cgroup/${controllers#name=}
    as_root mkdir -p "$folder"
    case $controllers in
      name=*) as_root mount -t cgroup -o "none,$controllers" cgroup "$folder" || as_root rmdir "$folder" ;;
      *) as_root mount -t cgroup -o "$controllers" cgroup "$folder" || as_root rmdir "$folder" ;;
    esac
    if [[ $controllers == *,* ]]; then
      for one in ${controllers//,/ }; do
        as_root ln -sfn "$controllers" "/sys/fs/cgroup/$one"
      done
    fi
  done </proc/self/cgroup
}

# Inside a container with cgroup v2, controllers can only be handed down once no process sits in the top group.
docker_delegate_cgroup2() {
  [[ -e /sys/fs/cgroup/cgroup.controllers && -e /sys/fs/cgroup/cgroup.type ]] || return 0
  [[ ! -d /run/systemd/system && -z $(cat /sys/fs/cgroup/cgroup.subtree_control) ]] || return 0
  # shellcheck disable=SC2016  # expanded by the inner shell, which may be root's
  as_root sh -c '
    cd /sys/fs/cgroup && mkdir -p init || exit 0
    for pid in $(cat cgroup.procs); do echo "$pid" > init/cgroup.procs; done 2>/dev/null
    for controller in $(cat cgroup.controllers); do echo "+$controller" > cgroup.subtree_control; done 2>/dev/null
    true'
}

# docker_launch FLAG...: one dockerd in the background, with its log and pid file.
docker_launch() {
  # A user who is not root gets the socket through their own group.
  local flags=("$@")
  [[ $(id -u) == 0 ]] || flags+=(--group "$(id -gn)")
  # shellcheck disable=SC2016
  as_root env PATH="${DOCKER_EXTRA_PATH:+$DOCKER_EXTRA_PATH:}$PATH:/usr/sbin:/sbin" sh -c '
    log=$1 pid_file=$2
    shift 2
    printf "%s starting: dockerd %s\n" "$(date -u +%FT%TZ)" "$*" >>"$log"
    setsid nohup dockerd "$@" >>"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"' sh "$DOCKER_LOG" "$DOCKER_PID_FILE" "${flags[@]}"
}

# Ends the dockerd that this script started, and no other.
docker_stop_ours() {
  local pid tries
  docker_process_lives "$DOCKER_PID_FILE" || return 0
  pid=$(as_root cat "$DOCKER_PID_FILE")
  as_root kill "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 40; tries++)); do
    [[ -d /proc/$pid ]] || return 0
    sleep 0.5
  done
  as_root kill -9 "$pid" 2>/dev/null || true
}

# Can the engine run a container? An image of one static program, with the default network; prints why not.
docker_probe() {
  local busybox output
  busybox=$(command -v busybox) || return 0
  docker_cli() { as_root timeout "$DOCKER_PROBE_SECONDS_MAX" docker --host "unix://$DOCKER_DEFAULT_SOCKET" "$@" 2>&1; }
  if output=$(tar -C "$(dirname "$busybox")" -c busybox | docker_cli import - gantry-probe) &&
    output=$(docker_cli run --rm --entrypoint /busybox gantry-probe true); then
    docker_cli rmi gantry-probe >/dev/null || true
    return 0
  fi
  docker_cli rmi -f gantry-probe >/dev/null || true
  printf '%s\n' "$output"
  return 1
}

# docker_next_flags TROUBLE: adds to `flags` what may help against this error text; fails when nothing is left to try.
docker_next_flags() {
  local has=" ${flags[*]} "
  if grep -qiE 'iptables|NAT chain|nf_tables|network controller' <<<"$1" && [[ $has != *iptables* ]]; then
    if [[ -z ${DOCKER_EXTRA_PATH:-} ]] && as_root iptables-legacy -t nat -L -n >/dev/null 2>&1; then
      note "trying again with iptables-legacy"
      as_root mkdir -p "$DOCKER_LEGACY_TOOLS"
      as_root ln -sf "$(command -v iptables-legacy)" "$DOCKER_LEGACY_TOOLS/iptables"
      as_root ln -sf "$(command -v ip6tables-legacy)" "$DOCKER_LEGACY_TOOLS/ip6tables"
      DOCKER_EXTRA_PATH=$DOCKER_LEGACY_TOOLS
      return
    fi
    warn "iptables does not work here; containers will not reach the network outside"
    flags+=(--iptables=false --ip6tables=false)
  elif [[ $has != *storage-driver* ]]; then
    note "trying again with the vfs storage driver, which works everywhere but is slow"
    flags+=(--storage-driver=vfs)
  elif [[ $has != *iptables* ]]; then
    warn "trying without iptables; containers will not reach the network outside"
    flags+=(--iptables=false --ip6tables=false)
  else
    return 1
  fi
}

docker_start_in_background() {
  local flags=() attempt trouble since start=$SECONDS
  local PATH="$PATH:/usr/sbin:/sbin"
  docker_mount_cgroups
  docker_delegate_cgroup2
  as_root touch "$DOCKER_LOG"
  for ((attempt = 1; attempt <= DOCKER_ATTEMPTS_MAX && SECONDS - start < DOCKER_START_SECONDS_MAX; attempt++)); do
    since=$(as_root cat "$DOCKER_LOG" | wc -l)
    docker_launch ${flags[@]+"${flags[@]}"}
    if docker_wait $((DOCKER_START_SECONDS_MAX - (SECONDS - start))) "$DOCKER_PID_FILE"; then
      if trouble=$(docker_probe); then
        note "dockerd ${flags[*]:-} was started for you, and is left running (log: $DOCKER_LOG)"
        note "to stop it: $([[ $(id -u) == 0 ]] || echo 'sudo ')kill \$(cat $DOCKER_PID_FILE)"
        return 0
      fi
    else
      trouble=$(as_root tail -n "+$((since + 1))" "$DOCKER_LOG")
    fi
    docker_stop_ours
    docker_next_flags "$trouble" || break
  done
  fail "the container engine does not start here: $(grep -iE 'failed|error|denied' <<<"$trouble" | tail -n 1)"
  die "the log is $DOCKER_LOG" "Gantry also works with an engine elsewhere: set DOCKER_HOST"
}

# ensure_docker: an engine answers afterwards, or the script ends with an error that says what to do.
ensure_docker() {
  docker_answers && return 0
  if [[ -n ${DOCKER_HOST:-} && ${DOCKER_HOST#unix://} != "$DOCKER_DEFAULT_SOCKET" ]]; then
    command -v curl >/dev/null || install_packages runtime
    docker_answers && return 0
    die "no container engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST to have one started"
  fi
  if [[ -S $DOCKER_DEFAULT_SOCKET && ! -w $DOCKER_DEFAULT_SOCKET ]]; then
    die "$DOCKER_DEFAULT_SOCKET is there, but not for $(id -un)" \
      "sudo usermod -aG docker $(id -un), then log in again; or run this as root"
  fi
  install_packages runtime
  docker_answers && return 0
  step "starting the container engine"
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl start docker || die "systemctl start docker failed" "see: journalctl -u docker"
    docker_wait "$DOCKER_START_SECONDS_MAX" && return 0
    [[ -w $DOCKER_DEFAULT_SOCKET ]] || die "the engine runs, but $DOCKER_DEFAULT_SOCKET is not for $(id -un)" \
      "sudo usermod -aG docker $(id -un), then log in again; or run this as root"
    die "the engine does not answer" "see: journalctl -u docker"
  fi
  # One that is on its way up: installing the package may have started it.
  if docker_process_lives "$DOCKER_DAEMON_PID_FILE"; then
    docker_wait "$DOCKER_START_SECONDS_MAX" "$DOCKER_DAEMON_PID_FILE" && return 0
    ! docker_process_lives "$DOCKER_DAEMON_PID_FILE" ||
      die "dockerd runs (process $(as_root cat $DOCKER_DAEMON_PID_FILE)) but does not answer" "stop it and try again"
  fi
  docker_start_in_background
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    usage "$0"
    exit 0
  fi
  (($# == 0)) || die "no such argument: $1" "see: $0 --help"
  ensure_docker
  ok "a container engine answers at ${DOCKER_HOST:-unix://$DOCKER_DEFAULT_SOCKET}"
fi
