#!/bin/sh
# Before the kernel's packages are installed: their initramfs is then made once, and small.
set -eu
root=$1
files=$(dirname "$0")/rootfs

mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d"
cp "$files/etc/initramfs-tools/conf.d/vexlab" "$root/etc/initramfs-tools/conf.d/vexlab"
cp "$files/usr/share/initramfs-tools/modules.d/vexlab" "$root/usr/share/initramfs-tools/modules.d/vexlab"
