#!/bin/sh
# The least that brings a saved guest back: an overlay, QEMU, a login. bare.py makes the directory and what is in it.
# Usage: restore.sh DIRECTORY
set -eu
cd "$1"
qemu-img create -q -f qcow2 -F qcow2 -b saved/disk.qcow2 overlay.qcow2
./qemu <monitor >qemu.log 2>&1 &
tries=0
# A connection that is made before the guest goes on would wait for a retransmission.
until [ -e restored ] && ./ssh true 2>ssh.log; do
	tries=$((tries + 1))
	[ "$tries" -lt 3000 ] || { cat qemu.log ssh.log >&2; exit 1; }
	sleep 0.01
done
