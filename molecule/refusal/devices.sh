#!/bin/sh
# Make one device of each kind that role vexfs_mkfs must refuse, each with a name below /dev/disk/by-id. The image has
# a rule that udev leaves loop devices alone, so the names are made here.
set -eu
mkdir -p /var/lib/refusal /dev/disk/by-id
cd /var/lib/refusal

# device NAME [losetup option…]: a loop device of 8 MiB with random bytes at its start
device() {
	name=$1
	shift
	head -c 65536 /dev/urandom >"$name.img"
	truncate --size 8M "$name.img"
	ln -sf "$(losetup --find --show "$@" "$name.img")" "/dev/disk/by-id/lab-$name"
}

device mounted
mkfs.ext4 -q -F /dev/disk/by-id/lab-mounted
mkdir -p mounted
# Read-only: a mounted ext4 writes to its device whenever it likes.
mount -o ro /dev/disk/by-id/lab-mounted mounted

device held
dmsetup create held --table "0 8192 linear $(readlink /dev/disk/by-id/lab-held) 0"

device partitioned --partscan
# A table with one partition: type 83, from sector 2048 (00 08 00 00), 8192 sectors (00 20 00 00).
printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\040\0\0' |
	dd of=/dev/disk/by-id/lab-partitioned bs=1 seek=446 conv=notrunc status=none
printf '\0%.0s' $(seq 48) | dd of=/dev/disk/by-id/lab-partitioned bs=1 seek=462 conv=notrunc status=none
printf '\125\252' | dd of=/dev/disk/by-id/lab-partitioned bs=1 seek=510 conv=notrunc status=none
blockdev --rereadpt /dev/disk/by-id/lab-partitioned
partition=$(readlink /dev/disk/by-id/lab-partitioned)p1
until [ -b "$partition" ]; do sleep 0.1; done
ln -sf "$partition" /dev/disk/by-id/lab-partition

device signed
mkfs.ext4 -q -F /dev/disk/by-id/lab-signed

device swap
mkswap --quiet /dev/disk/by-id/lab-swap
swapon /dev/disk/by-id/lab-swap

device read-only --read-only

device open
systemd-run --quiet --unit refusal-open python3 -c \
	'import os, time; os.open("/dev/disk/by-id/lab-open", os.O_RDONLY | os.O_EXCL); time.sleep(3600)'

ln -sf /var/lib/refusal/held.img /dev/disk/by-id/lab-file
ln -sf "$(findmnt --noheadings --output SOURCE /)" /dev/disk/by-id/lab-root

# Images that are in use, or aren't files.
head -c 1048576 /dev/urandom >attached.img
losetup --find attached.img
ln -s attached.img link.img
