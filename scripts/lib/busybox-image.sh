#!/usr/bin/env bash
# Makes a small image (about 2 MB: busybox with all its applets) for examples and tests, without any registry.
# Needs a statically linked busybox (Debian: busybox-static), curl, tar and a container engine that speaks Docker's API.
#
#   busybox-image.sh [image [input.tar]]      default: gantry/example:1
#
# What is in input.tar is in the image under /input.
# Does nothing if the image is there already. The engine is the one in DOCKER_HOST, or the default socket.
set -euo pipefail

image=${1:-gantry/example:1}
input=${2:-}
host=${DOCKER_HOST:-unix:///var/run/docker.sock}

fail() {
  printf 'busybox-image: %s\n' "$*" >&2
  exit 1
}

case $image in
  *[!a-z0-9._/:-]* | '' | :*) fail "\"$image\" is not an image name; write it as name:tag" ;;
esac
case ${image##*/} in
  *:*) repository=${image%:*} tag=${image##*:} ;;
  *) repository=$image tag=latest ;;
esac

case $host in
  unix://*) engine=(curl --silent --show-error --max-time 120 --unix-socket "${host#unix://}") base=http://docker ;;
  tcp://*) engine=(curl --silent --show-error --max-time 120) base=http://${host#tcp://} ;;
  *) fail "DOCKER_HOST is \"$host\"; it must start with unix:// or tcp://" ;;
esac

status=$("${engine[@]}" --output /dev/null --write-out '%{http_code}' "$base/images/$repository:$tag/json") ||
  fail "no container engine answers at $host; is the Docker daemon running?"
if [ "$status" = 200 ]; then exit 0; fi

busybox=$(command -v busybox) || fail "busybox is missing; on Debian: apt-get install busybox-static"
if ldd "$busybox" >/dev/null 2>&1; then
  fail "$busybox needs shared libraries that the image will not have; on Debian: apt-get install busybox-static"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/etc" "$work/root/root" "$work/root/tmp"
chmod 1777 "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"
chmod 755 "$work/root/bin/busybox"
"$busybox" --list | while IFS= read -r applet; do
  if [ "$applet" != busybox ]; then ln -s busybox "$work/root/bin/$applet"; fi
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/root/etc/passwd"
echo 'root:x:0:' >"$work/root/etc/group"
if [ -n "$input" ]; then
  mkdir "$work/root/input"
  tar --extract --file "$input" --directory "$work/root/input" || fail "$input cannot be read"
fi
tar --create --file "$work/image.tar" --directory "$work/root" \
  --owner=0 --group=0 --numeric-owner --sort=name --mtime='2020-01-01 00:00Z' .

answer=$("${engine[@]}" --request POST --header 'Content-Type: application/x-tar' \
  --header 'Expect:' --upload-file "$work/image.tar" \
  "$base/images/create?fromSrc=-&repo=$repository&tag=$tag&changes=ENV%20PATH%3D%2Fbin&changes=CMD%20%5B%22sh%22%5D") ||
  fail "the engine at $host did not take the image"
case $answer in
  *'"status":"sha256:'*) ;;
  *) fail "the engine at $host refused the image: $answer" ;;
esac
