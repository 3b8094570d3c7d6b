#!/bin/sh
# The least that does what `vexlab up` does, and checks nothing: restore a guest, build in the sandbox, and take the
# filesystem through its life in one ssh session. Usage: floor.sh DIRECTORY; up.py puts everything into it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sh "$here/restore.sh" "$1"
cd "$1"
python3 sandbox.py "$(cat build.json)" <build.py >built.json
cp "$here/floor_guest.sh" variables.sh work/
tar -C work --exclude='*.o' --exclude='.*.cmd' -czf - build floor_guest.sh variables.sh |
	./ssh 'mkdir -p /var/lib/vexlab && cd /var/lib/vexlab && tar -xzmf - && . ./variables.sh && . ./floor_guest.sh'
