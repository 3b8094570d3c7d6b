"""What each part of stage stress begins and ends with."""

from __future__ import annotations

from vexlab.guest.inside import second_device
from vexlab.guest.inside.attempts import shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import references, unload


def begin(fs: Filesystem, size: int, mkfs: str) -> str:
    """Make what is mounted, a device of so many bytes, format it if it has a mkfs, and mount it; returns the former."""
    device = fs.create(size)
    if mkfs:
        shell(second_device.exports(device) + mkfs)
    fs.mount()
    return device


def end(fs: Filesystem, module: str, own: bool) -> int:
    """Take all down and unload the module if it is the target's own and idle; how many uses the kernel counts."""
    try:
        fs.end()
    finally:
        uses = references(module)
        if own and not uses:
            unload(module)
    return uses
