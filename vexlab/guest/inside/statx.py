"""statx(2), and what statfs(2) says of the whole."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import read, syncfs, write

BASIC, BTIME, MNT_ID = 0x7FF, 0x800, 0x1000  # linux/stat.h


class Timestamp(ctypes.Structure):
    """struct statx_timestamp."""

    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_uint32), ("reserved", ctypes.c_int32))


class Statx(ctypes.Structure):
    """struct statx, as far as it is looked at here."""

    _fields_ = (
        ("mask", ctypes.c_uint32), ("blksize", ctypes.c_uint32), ("attributes", ctypes.c_uint64),
        ("nlink", ctypes.c_uint32), ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32), ("mode", ctypes.c_uint16),
        ("spare", ctypes.c_uint16), ("ino", ctypes.c_uint64), ("size", ctypes.c_uint64), ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64), ("atime", Timestamp), ("btime", Timestamp), ("ctime", Timestamp),
        ("mtime", Timestamp), ("rdev_major", ctypes.c_uint32), ("rdev_minor", ctypes.c_uint32),
        ("dev_major", ctypes.c_uint32), ("dev_minor", ctypes.c_uint32), ("mnt_id", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 13),
    )  # fmt: skip


def statx(path: str) -> Statx:
    """statx(2) of a path, all of it asked for."""
    found = Statx()
    counted("statx", -100, path.encode(), 0x100, BASIC | BTIME | MNT_ID, ctypes.byref(found))
    return found


def time_of(stamp: Timestamp) -> int:
    """A time in nanoseconds."""
    return int(stamp.seconds) * 10**9 + int(stamp.nanoseconds)


def fields(path: str) -> dict[str, list[Any]]:
    """For each field that both have, what statx(2) and stat(2) say."""
    new, old = statx(path), os.lstat(path)
    return {
        "ino": [new.ino, old.st_ino], "mode": [new.mode, old.st_mode], "nlink": [new.nlink, old.st_nlink],
        "uid": [new.uid, old.st_uid], "gid": [new.gid, old.st_gid], "size": [new.size, old.st_size],
        "blocks": [new.blocks, old.st_blocks], "blksize": [new.blksize, old.st_blksize],
        "mtime": [time_of(new.mtime), old.st_mtime_ns], "ctime": [time_of(new.ctime), old.st_ctime_ns],
        "dev": [os.makedev(new.dev_major, new.dev_minor), old.st_dev],
        "mnt_id": [new.mnt_id if new.mask & MNT_ID else mount_id(), mount_id()],
    }  # fmt: skip


def mount_id() -> int:
    """The number of the mount that one is on, from /proc/self/mountinfo."""
    mounts = {words[4]: int(words[0]) for words in map(str.split, read("/proc/self/mountinfo").splitlines())}
    point = Path.cwd()
    while str(point) not in mounts:
        point = point.parent
    return mounts[str(point)]


def differences(_fs: Filesystem) -> dict[str, dict[str, list[Any]]]:
    """For a file, a directory and a link: fields in which statx(2) and stat(2) differ; and what the mask lacks."""
    write("file", "x" * 5000)
    os.mkdir("directory")
    names = ["file", "directory", "."]
    syncfs()
    found = {name: {field: both for field, both in fields(name).items() if both[0] != both[1]} for name in names}
    lacking = BASIC & ~statx("file").mask
    return {**found, "mask": {"lacks of STATX_BASIC_STATS": [hex(lacking)]} if lacking else {}}


def birth(fs: Filesystem) -> dict[str, Any]:
    """The time of birth of a file, if the mask says that there is one: when it is made, and after each change.

    In seconds before and after the clock's for the first, in nanoseconds from the first for the others.
    """
    before = time.time_ns()
    write("born", "x")
    after = time.time_ns()
    first = statx("born")
    if not first.mask & BTIME:
        return {}
    born = time_of(first.btime)
    seen = {"early": (before - born) / 1e9, "late": (born - after) / 1e9}
    time.sleep(0.02)  # so that the kernel's clock of times goes on
    os.utime("born", (1000, 1000))
    write("born", "y", "a")
    os.chmod("born", 0o600)
    os.rename("born", "born-again")
    moved = {"after a change": time_of(statx("born-again").btime) - born}
    fs.remount()
    moved["after a remount"] = time_of(statx("born-again").btime) - born
    return seen | moved


def whole(fs: Filesystem) -> dict[str, Any]:
    """statfs(2) of the root, of a file and of a descriptor, and after a remount."""
    write("any", "x")
    syncfs()

    def constant(seen: os.statvfs_result) -> list[int]:
        return [seen.f_bsize, seen.f_frsize, seen.f_blocks, seen.f_namemax, seen.f_fsid]

    with open("any") as file:
        found = {"root": constant(os.statvfs(".")), "file": constant(os.statvfs("any")),
                 "descriptor": constant(os.statvfs(file.fileno()))}  # fmt: skip
    fs.remount()
    seen = os.statvfs(".")
    found["after a remount"] = constant(seen)
    found["counts"] = [seen.f_blocks, seen.f_bfree, seen.f_bavail, seen.f_files, seen.f_ffree, seen.f_favail]
    return found
