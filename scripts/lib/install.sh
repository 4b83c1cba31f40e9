#!/usr/bin/env bash
# Installs what Gantry needs from Debian 12's own packages, and only what is missing.
#
# Usage: scripts/lib/install.sh build|runtime|test|bench ...     or: source it and call install_packages
#
#   build     compiler, linker, libraries: what scripts/build needs
#   runtime   a container engine and what examples use
#   test      GoogleTest, clang-tidy, Node.js: what scripts/test needs
#   bench     what scripts/bench needs
#
# Needs root or sudo, and only if something is missing. Running it again changes nothing.

# shellcheck source=scripts/lib/ui.sh
source "$(dirname "${BASH_SOURCE[0]}")/ui.sh"

# An entry is a package, or package=command: the command will do in its place, so a newer Node.js or a
# Docker from elsewhere is left alone.
# clang-19 takes ld.lld from its own folder first (lld-19), else from PATH: an older lld that is there works too.
install_set() {
  case $1 in
    build)
      echo clang-19 lld-19=ld.lld ninja-build=ninja cmake ccache git ca-certificates
      echo libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libssl-dev libsqlite3-dev
      echo libfmt-dev libspdlog-dev zlib1g-dev libzstd-dev liblz4-dev prometheus-cpp-dev librabbitmq-dev librnp-dev libjemalloc-dev
      ;;
    runtime) echo docker.io=dockerd iptables busybox-static curl=curl ca-certificates librabbitmq4 librnp0 libjemalloc2 libzstd1 liblz4-1 ;;
    test)
      echo clang-format-19 clang-tidy-19 libclang-rt-19-dev llvm-19=llvm-symbolizer-19
      echo libgtest-dev libgmock-dev librapidcheck-dev
      echo nodejs=node npm=npm tmux python3 shellcheck curl=curl rabbitmq-server docker-registry=docker-registry apache2-utils=htpasswd
      echo zstd=zstd lz4=lz4 gnupg=gpg openssl=openssl iproute2=ip chromium
      ;;
    bench) echo libbenchmark-dev linux-perf=perf wrk python3 curl=curl ;;
    *) die "no package set '$1'" "it is one of: build runtime test bench" ;;
  esac
}

readonly INSTALL_APT_TRIES=3

# Runs a command as root: directly, or through sudo.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "root is needed for: $*" "run this as root, or install sudo"
  fi
}

install_has_package() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Prints the packages of a set that are neither installed nor replaced by a command.
install_missing() {
  local entry package
  local PATH="$PATH:/usr/sbin:/sbin"
  for entry in $(install_set "$1"); do
    package=${entry%%=*}
    install_has_package "$package" && continue
    if [[ $entry == *=* ]]; then
      command -v "${entry#*=}" >/dev/null && continue
    fi
    printf '%s\n' "$package"
  done
  # With AppArmor in the kernel the engine starts no container without this tool, which docker.io only recommends.
  if [[ $1 == runtime && -e /sys/kernel/security/apparmor ]] && ! command -v apparmor_parser >/dev/null; then
    echo apparmor
  fi
}

install_apt() {
  local log try
  log=$(mktemp)
  for ((try = 1; try <= INSTALL_APT_TRIES; try++)); do
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" \
      </dev/null >"$log" 2>&1; then
      rm -f "$log"
      return 0
    fi
    warn "apt-get $1 failed (try $try of $INSTALL_APT_TRIES): $(grep -m1 -E '^E:' "$log" || tail -n 1 "$log")"
    ((try == INSTALL_APT_TRIES)) || sleep $((try * 3))
  done
  tail -n 30 "$log" >&2
  rm -f "$log"
  return 1
}

# install_packages SET...: installs what is missing of these sets. Exits with an error that says what to do.
install_packages() {
  local set missing
  for set in "$@"; do
    install_set "$set" >/dev/null
  done
  mapfile -t missing < <(for set in "$@"; do install_missing "$set"; done | sort -u)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "these Debian 12 packages are missing, and there is no apt-get here: ${missing[*]}" "install them by hand"
  step "installing ${#missing[@]} Debian packages ($*): ${missing[*]}"
  local start=$SECONDS
  install_apt update || die "apt-get update failed" "check the network and the files under /etc/apt"
  install_apt install -y --no-install-recommends "${missing[@]}" ||
    die "could not install: ${missing[*]}" "Gantry is built on Debian 12 (bookworm); try: apt-get install ${missing[*]}"
  note "installed in $(duration $((SECONDS - start)))"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  if (($# == 0)) || [[ $1 == --help || $1 == -h ]]; then
    usage "$0"
    exit 0
  fi
  install_packages "$@"
fi
