#!/bin/sh
# The filesystem's life in the guest, without a look at anything; read in by floor.sh's ssh session.
set -eu
mkdir -p "$SHARE" "$POINT"
mount -t 9p -o ro,nosuid,nodev,trans=virtio,version=9p2000.L,msize=262144 vexfs_source "$SHARE"
cp -a "$SHARE" source
insmod "build/$MODULE_FILE"
truncate --size "${SIZE_MB}M" device.img
DEVICE=$(losetup --find --show device.img)
export DEVICE LABEL
(cd build && sh -euc "$MKFS")
mount -t "$TYPE" -o "$READ_ONLY" "$DEVICE" "$POINT"
umount "$POINT"
mount -t "$TYPE" -o "$READ_WRITE" "$DEVICE" "$POINT"
head -c 1M /dev/urandom >written
cp written "$POINT/file"
sync "$POINT/file"
cmp written "$POINT/file"
