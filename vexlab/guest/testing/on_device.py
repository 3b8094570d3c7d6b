"""A test on a device: the lab's own filesystem has all of it, and gives way to scratch filesystems on its first part.

What writes to the device looks at its serial number first, with the module by which the roles do.
"""

from __future__ import annotations

import shlex

from vexlab.guest.inside import disk, system
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


def is_mounted(guest: Guest, target: Target) -> bool:
    """Whether the lab's own filesystem is mounted."""
    return bool(guest.call(system.mounts, target.mount_point))


def make_free(guest: Guest, target: Target) -> None:
    """Unmount the lab's own filesystem, if scratch filesystems are to be where it is."""
    if target.scratch_is_on_device and is_mounted(guest, target):
        guest.ok(f"umount {shlex.quote(target.mount_point)}")


def give_back(guest: Guest, target: Target, *, mounted: bool) -> None:
    """Format the whole device again, as the role left it, and mount it if it was."""
    own(guest, target, target.mkfs("$1", force=True).replace("'$1'", '"$1"'))
    if mounted:
        mount(guest, target)


def mount(guest: Guest, target: Target) -> None:
    """Mount the device where the lab's own filesystem belongs."""
    kind, point = shlex.quote(target.filesystem_type), shlex.quote(target.mount_point)
    own(guest, target, f'mount -t {kind} -o {target.mount_options()} "$1" {point}')


def own(guest: Guest, target: Target, script: str) -> None:
    """Run a script on the device, $1 in it, after its serial number was seen to be the right one."""
    guest.call(disk.run, target.device, target.device_serial, script, seconds=300)
