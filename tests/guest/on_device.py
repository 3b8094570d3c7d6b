"""A test on a device: the lab's own filesystem has all of it, and gives way to scratch filesystems on its first part.

What writes to the device looks at its serial number first, with the module by which the roles do.
"""

from __future__ import annotations

import shlex

from guest import Guest, Lab
from inside import disk, system


def is_mounted(guest: Guest, lab: Lab) -> bool:
    """Whether the lab's own filesystem is mounted."""
    return bool(guest.call(system.mounts, lab.mount_point))


def make_free(guest: Guest, lab: Lab) -> None:
    """Unmount the lab's own filesystem, if scratch filesystems are to be where it is."""
    if lab.scratch_is_on_device and is_mounted(guest, lab):
        guest.ok(f"umount {shlex.quote(lab.mount_point)}")


def give_back(guest: Guest, lab: Lab, *, mounted: bool) -> None:
    """Format the whole device again, as the role left it, and mount it if it was."""
    own(guest, lab, lab.mkfs("$1", force=True).replace("'$1'", '"$1"'))
    if mounted:
        mount(guest, lab)


def mount(guest: Guest, lab: Lab) -> None:
    """Mount the device where the lab's own filesystem belongs."""
    kind, point = shlex.quote(lab.filesystem_type), shlex.quote(lab.mount_point)
    own(guest, lab, f'mount -t {kind} -o {lab.mount_options()} "$1" {point}')


def own(guest: Guest, lab: Lab, script: str) -> None:
    """Run a script on the device, $1 in it, after its serial number was seen to be the right one."""
    guest.call(disk.run, lab.device, lab.device_serial, script, seconds=300)
