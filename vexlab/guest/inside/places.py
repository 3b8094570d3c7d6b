"""Where a file is on its device, what runs from it, and an ioctl that nobody knows."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from typing import Any

from vexlab.guest.inside.attempts import ended, outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import syncfs

FIBMAP, FIGETBSZ = 1, 2  # linux/fs.h
UNKNOWN = 0x56454C42  # of no driver and no filesystem


def blocks_of(fs: Filesystem) -> list[Any]:
    """Ask with FIBMAP where each block of a file is: what came of it, and blocks that hold something else there."""
    with open("placed", "w+b") as file:
        size = struct.unpack("i", fcntl.ioctl(file, FIGETBSZ, bytes(4)))[0]
        count = (300 << 10) // size
        content = [bytes([1 + number % 250, 1 + number // 250]) * (size // 2) for number in range(count)]
        file.write(b"".join(content))
        file.flush()
        os.fsync(file.fileno())
        syncfs()
        places = list[int]()

        def ask() -> None:
            places.extend(
                struct.unpack("i", fcntl.ioctl(file, FIBMAP, struct.pack("i", number)))[0] for number in range(count)
            )

        if (came := outcome(ask)) != "done":
            return [came, 0, 0]
    with open(fs.image, "rb") as device:
        wrong = [number for number, place in enumerate(places)
                 if os.pread(device.fileno(), size, place * size) != content[number]]  # fmt: skip
    return [came, len(wrong), count]


def run_from_it(fs: Filesystem) -> list[Any]:
    """Copy a program to it, and run that at once and after a remount: the exit codes and what it says."""
    shutil.copy(os.path.realpath("/bin/echo"), "program")
    os.chmod("program", 0o755)
    found = [ended(f"{fs.point}/program runs")[:2]]
    fs.remount()
    return [*found, ended(f"{fs.point}/program runs")[:2]]


def unknown_ioctl(_fs: Filesystem) -> list[str]:
    """What comes of an ioctl that nobody knows, of a file and of a directory."""
    with open("asked", "w") as file:
        of_file = outcome(fcntl.ioctl, file, UNKNOWN)
    directory = os.open(".", os.O_RDONLY)
    try:
        return [of_file, outcome(fcntl.ioctl, directory, UNKNOWN)]
    finally:
        os.close(directory)
