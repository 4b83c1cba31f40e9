#!/usr/bin/env bash
# One task makes an image, the next one runs in it. Needs a running `gantry dev` and its example image (scripts/lib/busybox-image.sh).
#
#   run.sh            $GANTRY is the program, $GANTRY_DATA_DIR or $GANTRY_URL says where it runs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
gantry=${GANTRY:-gantry}

build=$("$gantry" task create build.json)
"$gantry" logs "$build" --follow
use=$(sed "s/BUILD_TASK/$build/" use.json | "$gantry" task create -)
"$gantry" logs "$use" --follow
