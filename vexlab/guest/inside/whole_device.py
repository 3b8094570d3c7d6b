"""The lab's own filesystem on a device under test, which has all of it."""

from __future__ import annotations

import os
from pathlib import Path

from vexlab.guest.inside.system import mount, read, statistics, umount, write


def sectors_written_by_reading(device: str, point: str, kind: str, options: str) -> int:
    """Mount, read everything, unmount: how many sectors of the device were written meanwhile; leaves it mounted."""
    device = os.path.realpath(device)
    umount(point)
    os.sync()
    before = statistics(device)[6]
    mount(device, point, kind, options)
    for entry in Path(point).rglob("*"):
        if entry.is_file():
            entry.read_bytes()
    umount(point)
    after = statistics(device)[6]
    mount(device, point, kind, options)
    return after - before


def files_that_change(device: str, point: str, kind: str, options: str) -> list[int]:
    """Write twenty files and mount anew: the numbers of those that hold something else then."""
    device = os.path.realpath(device)
    for number in range(20):
        write(f"{point}/kept-{number}", str(number) * 10000)
    umount(point)
    mount(device, point, kind, options)
    return [number for number in range(20) if read(f"{point}/kept-{number}") != str(number) * 10000]
