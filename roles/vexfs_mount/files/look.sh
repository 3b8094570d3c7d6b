#!/bin/sh
# Usage: look.sh MOUNT_POINT TYPE DEVICE
# Print, as one JSON object, what role vexfs_mount decides by. Reads only.
set -eu
point=$1
type=$2
device=$3
# Containers aside: one on a real machine has that machine's kernel. The exit code says "none" once more.
virtualisation=$(systemd-detect-virt --vm) || true
mounted=false other='' device_there=false regular=false registered=false
# findmnt exits 1 when nothing is mounted there
found=$(findmnt --noheadings --output FSTYPE --mountpoint "$point") || [ $? -eq 1 ]
found=$(printf '%s' "$found" | tail -n 1)
if [ "$found" = "$type" ]; then mounted=true; else other=$found; fi
if [ -e "$device" ]; then device_there=true; fi
if [ -f "$device" ]; then regular=true; fi
if grep -qE "(^|[[:space:]])$type\$" /proc/filesystems; then registered=true; fi
printf '{"virtualisation": "%s", "mounted": %s, "other": "%s", "device_there": %s, ' \
	"${virtualisation:-unknown}" "$mounted" "$other" "$device_there"
printf '"regular": %s, "registered": %s}\n' "$regular" "$registered"
