#!/bin/sh
# Print what must stay as it is: the contents of every device and image but the root filesystem's, what they are used
# for, and whether the command that stands for mkfs has run.
set -eu
sha256sum /var/lib/refusal/attached.img
for device in /dev/disk/by-id/lab-*; do
	if [ -b "$device" ] && [ "$device" != /dev/disk/by-id/lab-root ]; then sha256sum "$device"; fi
done
findmnt --list --noheadings --output TARGET,SOURCE
cat /proc/swaps
dmsetup table
losetup --list --noheadings --output NAME,BACK-FILE,RO
ls /run/formatted 2>&1 || true
