"""A test on a device: the lab's own filesystem has all of it, and gives way to scratch filesystems on its first part.

What writes to the device looks at its serial number first, with the script by which the roles do.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from guest import Guest, Lab

SCRIPT = Path(__file__).parents[2] / "roles" / "vexfs_mkfs" / "files" / "device.py"


def disk(lab: Lab) -> list[str]:
    """What in_guest.py needs to know of the device: its name, its serial number, the script."""
    return [lab.device, lab.device_serial, SCRIPT.read_text(encoding="utf-8")]


def is_mounted(guest: Guest, lab: Lab) -> bool:
    """Whether the lab's own filesystem is mounted."""
    return bool(guest.python("answer(mounts(arguments[0]))", lab.mount_point))


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
    by_id, serial, code = disk(lab)
    guest.program(code, by_id, serial, "sh", "-euc", script, "sh", "{}", seconds=300)
