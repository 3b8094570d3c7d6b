"""What is on a device that was just formatted."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from vexlab.guest.inside.amounts import most, room
from vexlab.guest.inside.attempts import shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import size_of
from vexlab.guest.inside.system import mounts, read, write


def mount_with(fs: Filesystem, options: str) -> list[list[str]]:
    """Mount with these options: type, and `ro` or `rw`, of each mount that is there then."""
    fs.mount(options)
    found = mounts(fs.point)
    fs.unmount()
    return [[kind, shown.split(",")[0]] for _, kind, shown in found]


def root(fs: Filesystem) -> list[Any]:
    """Owner, group and mode of the root directory, and what is in it."""
    fs.mount()
    seen, names = os.stat("."), os.listdir()
    fs.unmount()
    return [f"{seen.st_uid}:{seen.st_gid} {stat.filemode(seen.st_mode)}", names]


def is_a_hole(root: str) -> bool:
    """Whether others than root and its group may write to a root directory, as `root` tells it, or root can't use it.

    One of 0775 is no hole, and what is read and never written often has 0555.
    """
    owner, mode = root.split()
    return owner != "0:0" or not mode.startswith("dr") or mode[3] != "x" or mode[8] == "w"


def space(fs: Filesystem) -> list[int]:
    """Size of a block in bytes, how many there are, how many of them are free."""
    fs.mount()
    seen = os.statvfs(".")
    fs.unmount()
    return [seen.f_frsize, seen.f_blocks, seen.f_bfree]


def format_again(fs: Filesystem, mkfs: str) -> list[Any]:
    """Put something on it and format again: what is there then, and what a new file reads after a remount."""
    fs.mount()
    for number in range(1, 6):
        place = f"d{number}" if "directories" in fs.can else "."
        if place != ".":
            os.mkdir(place)
        write(f"{place}/f{number}", "old")
    write("big", bytes(most(fs, "file_bytes", min(4 << 20, room()))))
    fs.unmount()
    shell(mkfs)
    fs.mount()
    left = os.listdir()
    write("f", "new")
    fs.unmount()
    fs.mount()
    found = read("f")
    fs.unmount()
    return [left, found]


def keep_a_file(fs: Filesystem) -> bool:
    """Write a file, and tell whether it is the same after a remount."""
    fs.mount()
    data = os.urandom(most(fs, "file_bytes", 1 << 20))
    write("kept", data)
    fs.remount()
    same = "persistent" not in fs.can or Path("kept").read_bytes() == data
    fs.unmount()
    return same


def mount_and_unmount(fs: Filesystem) -> None:
    """Mount it and unmount it."""
    fs.mount()
    fs.unmount()


def format_noise(fs: Filesystem, mkfs: str) -> list[str]:
    """Fill the beginning of the device with noise and format it; what is on the filesystem."""
    noise = os.urandom(1 << 20)  # takes longer than all the rest, so once
    with open(fs.device, "r+b") as device:
        for place in range(0, min(8 << 20, size_of(fs.device)), len(noise)):
            device.write(noise[: size_of(fs.device) - place])
        device.flush()
        os.fsync(device)
    shell(mkfs)
    fs.mount(fs.read_only_options)
    found = os.listdir()
    fs.unmount()
    return found
