"""Times of a file: set by utimensat(2), moved by reading, kept by the filesystem."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from typing import Any

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import check, libc, mount, write

SECOND = 10**9
FULL = 1_234_567_890 * SECOND + 123_456_789  # a moment with all its nanoseconds
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2  # linux/stat.h: UTIME_NOW, UTIME_OMIT
AT_FDCWD, AT_SYMLINK_NOFOLLOW = -100, 0x100

# What 32 bits, signed or not, and 34 bits can hold, and what lies just outside; in seconds.
EDGES = [
    -(1 << 33), -(1 << 31) - 1, -(1 << 31), -1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32,
    13_000_000_000, (1 << 34) - (1 << 31) - 1, (1 << 34) - (1 << 31), 1 << 35,
]  # fmt: skip


def utimensat(name: str, access: int, modification: int) -> None:
    """utimensat(2) with these numbers of nanoseconds within a second that isn't asked for: NOW or OMIT."""
    times = (ctypes.c_long * 4)(0, access, 0, modification)
    check(libc.utimensat(AT_FDCWD, name.encode(), times, 0), name)


def times(name: str) -> list[int]:
    """Access, modification and change of what a name leads to itself, in nanoseconds."""
    seen = os.lstat(name)
    return [seen.st_atime_ns, seen.st_mtime_ns, seen.st_ctime_ns]


def all_three(fs: Filesystem, kinds: Sequence[str]) -> dict[str, list[list[int]]]:
    """Set the times of a file, a directory, a link (`kinds`): all three at once and after a remount.

    The modification is FULL, the access 1.1 s later.
    """
    makers = {
        "file": lambda: write("file", "x"),
        "directory": lambda: os.mkdir("directory"),
        "symbolic link": lambda: os.symlink("nowhere", "symbolic"),
    }
    names = {kind: kind.split()[0] for kind in kinds}
    for kind, name in names.items():
        makers[kind]()
        os.utime(name, ns=(FULL + 1_100_000_000, FULL), follow_symlinks=False)
    at_once = {kind: times(name) for kind, name in names.items()}
    fs.remount()
    return {kind: [at_once[kind], times(name)] for kind, name in names.items()}


def edges(fs: Filesystem) -> list[list[list[int]]]:
    """Give a file each moment of EDGES: access and modification, in seconds, at once and after a remount."""
    names = [f"edge-{number}" for number in range(len(EDGES))]
    for name, moment in zip(names, EDGES, strict=True):
        write(name, "x")
        os.utime(name, ns=(moment * SECOND, moment * SECOND))
    at_once = [[when // SECOND for when in times(name)[:2]] for name in names]
    fs.remount()
    return [at_once, [[when // SECOND for when in times(name)[:2]] for name in names]]


def now_and_omit(_fs: Filesystem) -> dict[str, list[int]]:
    """What UTIME_NOW and UTIME_OMIT make of a file of 1000 (access) and 2000 (modification): its seconds then.

    `clock` is before and after.
    """
    seen = {"clock": [int(time.time())]}
    for step, asked in {
        "UTIME_OMIT, UTIME_OMIT": (OMIT, OMIT),
        "UTIME_NOW, UTIME_OMIT": (NOW, OMIT),
        "UTIME_OMIT, UTIME_NOW": (OMIT, NOW),
        "UTIME_NOW, UTIME_NOW": (NOW, NOW),
    }.items():
        write("partly", "x")
        os.utime("partly", ns=(400_000_000 * SECOND, 500_000_000 * SECOND))
        utimensat("partly", *asked)
        seen[step] = [when // SECOND for when in times("partly")[:2]]
    seen["clock"].append(int(time.time()))
    return seen


def read_through(name: str, flags: int = 0) -> None:
    """Read from the beginning of a file."""
    descriptor = os.open(name, os.O_RDONLY | flags)
    os.read(descriptor, 10)
    os.close(descriptor)


def moved_by_reading(fs: Filesystem, kinds: Sequence[str]) -> dict[str, bool]:
    """Whether an access time that is old, or lies ahead (of now and of the other times), moves when something is read.

    `kinds` beside the file: directory, symbolic link. The flags of the mount are changed, not the filesystem.
    """
    old, ahead = 1_000_000_000, int(time.time()) + 5000
    write("read", "content")
    if "directory" in kinds:
        os.mkdir("listed")
        write("listed/file", "x")
    if "symbolic link" in kinds:
        os.symlink("nowhere", "followed")

    def moved(name: str, access: int, how: Any) -> bool:
        os.utime(name, ns=(access * SECOND, old * SECOND), follow_symlinks=False)
        before = os.lstat(name).st_atime_ns
        how(name)
        return os.lstat(name).st_atime_ns != before

    def flagged(option: str) -> None:
        mount(fs.device, fs.point, fs.kind, f"remount,bind,{option}")

    flagged("noatime")
    seen = {"noatime, read(2) of an old file": moved("read", old, read_through)}
    flagged("relatime")
    seen["relatime, read(2) of a file whose atime is its mtime"] = moved("read", old, read_through)
    seen["relatime, read(2) of a file whose atime is ahead"] = moved("read", ahead, read_through)
    flagged("strictatime")
    seen["strictatime, read(2) of a file whose atime is ahead"] = moved("read", ahead, read_through)
    seen["strictatime, read(2) with O_NOATIME"] = moved("read", ahead, lambda name: read_through(name, os.O_NOATIME))
    seen["strictatime, stat(2)"] = moved("read", ahead, os.stat)
    if "directory" in kinds:
        seen["strictatime, getdents64(2) of a directory"] = moved("listed", ahead, os.listdir)
    if "symbolic link" in kinds:
        seen["strictatime, readlink(2)"] = moved("followed", ahead, os.readlink)
    moved("read", ahead, read_through)
    kept = os.stat("read").st_atime_ns
    flagged("relatime")
    fs.remount()
    seen["the atime is another after a remount"] = os.stat("read").st_atime_ns != kept
    return seen
