#!/bin/sh
# Print what a module could leave behind: modules, filesystem types, slab caches, loop devices, mounts.
set -eu
sed 's/ .*//; s/^/module /' /proc/modules
sed 's/^/type /' /proc/filesystems
for cache in /sys/kernel/slab/*; do
	# Caches without a name of their own are called :0000192, and other caches share them.
	case $cache in */:*) ;; *) echo "slab cache ${cache##*/}" ;; esac
done
losetup --list --noheadings --output NAME,BACK-FILE
findmnt --list --noheadings --output TARGET,FSTYPE
