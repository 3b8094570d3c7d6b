"""Where a file is on its device, what runs from it, and an ioctl that nobody knows."""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import shutil
import struct
from typing import Any

from vexlab.guest.inside.attempts import NAMES, ended, outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import syncfs, write

FIBMAP, FIGETBSZ = 1, 2  # linux/fs.h
# linux/fiemap.h: struct fiemap, struct fiemap_extent, and flags of an extent
FS_IOC_FIEMAP, LAST, UNWRITTEN = 0xC020660B, 0x1, 0x800
FIEMAP, EXTENT = struct.Struct("=QQ4I"), struct.Struct("=3Q16xI12x")
AT_ONCE, MOST = 2, 1000  # extents that are asked for at once, and that such a file may have
STEP = 128 << 10  # bytes from one part of the file to the next
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


def _extents(file: int, start: int) -> list[tuple[int, int, int]]:
    """One FS_IOC_FIEMAP from an offset on: first byte, length and flags of each of the next extents, a few at most."""
    request = FIEMAP.pack(start, (1 << 64) - 1 - start, 0, 0, AT_ONCE, 0) + bytes(AT_ONCE * EXTENT.size)
    answer = fcntl.ioctl(file, FS_IOC_FIEMAP, request)
    count = FIEMAP.unpack_from(answer)[3]
    places = (EXTENT.unpack_from(answer, FIEMAP.size + number * EXTENT.size) for number in range(count))
    return [(logical, length, flags) for logical, _, length, flags in places]


def extents_of(_fs: Filesystem) -> list[str]:
    """Ask with FIEMAP where a file with a hole in it has data: what came of it, and what is wrong with the answer."""
    parts = [(number * STEP, bytes([1 + number]) * (STEP // 2)) for number in (0, 1, 2, 3, 8)]
    with open("extents", "w+b", buffering=0) as file:
        for place, data in parts:
            os.pwrite(file.fileno(), data, place)
        os.fsync(file.fileno())
        found = list[tuple[int, int, int]]()
        while not found or not found[-1][2] & LAST:
            start = found[-1][0] + found[-1][1] if found else 0
            try:
                more = _extents(file.fileno(), start)
            except OSError as problem:
                return [NAMES.get(problem.errno or 0, str(problem)), ""]
            if not more:
                break
            if more[0][0] + more[0][1] <= start or len(found) > MOST:
                return ["done", f"asked again from {start} on, it tells of an extent at {more[0][0]}: there is no end"]
            found += more
    behind = [(one, other) for one, other in itertools.pairwise(found) if other[0] < one[0] + one[1]]
    if behind:
        return ["done", f"the extent at {behind[0][1][0]} begins before the one at {behind[0][0][0]} ends"]
    places = [(logical, logical + length) for logical, length, flags in found if not flags & UNWRITTEN]
    untold = [place for place, data in parts if not _is_covered(place, place + len(data), places)]
    if untold:
        return ["done", f"no extent has the {STEP // 2} bytes that were written at {untold[0]}"]
    return ["done", ""]


def _is_covered(start: int, end: int, places: list[tuple[int, int]]) -> bool:
    """Whether places that are in their order have all from a start to an end."""
    for first, behind in places:
        if first <= start < behind:
            start = behind
    return start >= end


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


# What filesystems are asked by ioctl(2), and answer themselves or refuse: linux/fs.h, linux/fiemap.h
IOCTLS = {
    "FS_IOC_GETFLAGS": 0x80086601, "FS_IOC_SETFLAGS": 0x40086602, "FS_IOC_GETVERSION": 0x80087601,
    "FS_IOC_SETVERSION": 0x40087602, "FS_IOC_FSGETXATTR": 0x801C581F, "FS_IOC_FSSETXATTR": 0x401C5820,
    "FS_IOC_GETFSLABEL": 0x81009431, "FS_IOC_SETFSLABEL": 0x41009432, "FITRIM": 0xC0185879, "FIEMAP": FS_IOC_FIEMAP,
    "FICLONERANGE": 0x4020940D, "FIDEDUPERANGE": 0xC0189436,
}  # fmt: skip
BAD_ADDRESSES = (0, 8, (1 << 47) - 8, 0xFFFF888000000000)  # the last is the kernel's own


def ioctls_with_a_bad_address(_fs: Filesystem) -> list[str]:
    """The ioctls that say they were done, on a file or a directory, though there is no memory for their argument."""
    write("addressed", "content")
    os.mkdir("addressed-dir")
    done = []
    for kind, name in (("a file", "addressed"), ("a directory", "addressed-dir")):
        descriptor = os.open(name, os.O_RDONLY)
        for ioctl, number in IOCTLS.items():
            came = [
                outcome(counted, "ioctl", descriptor, ctypes.c_ulong(number), ctypes.c_void_p(address))
                for address in BAD_ADDRESSES
            ]
            done += [f"{ioctl} of {kind}"] * ("done" in came)
        os.close(descriptor)
    return done
