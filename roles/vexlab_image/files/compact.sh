#!/bin/sh
# Turn what assemble.sh made into what is kept, as the user who builds. Usage: compact.sh IMAGE_DIRECTORY
# The current directory is the work directory.
set -eu
image=$1

mkdir "$image/sandbox"
tar --extract --file=sandbox.tar --no-same-owner --directory="$image/sandbox" &
qemu-img convert -f raw -O qcow2 disk.raw "$image/disk.qcow2"
wait "$!"
rm -f disk.raw sandbox.tar
