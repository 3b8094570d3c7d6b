"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import os
import time

from inside.filesystem import Filesystem
from inside.system import free, syncfs, write


def sizes(_fs: Filesystem) -> list[int]:
    """Size of a block in bytes; how many there are, are free, are free for all; how long a name may be."""
    seen = os.statvfs(".")
    return [seen.f_frsize, seen.f_blocks, seen.f_bfree, seen.f_bavail, seen.f_namemax]


def free_inodes() -> int:
    """How many inodes are free, all written."""
    syncfs()
    return os.statvfs(".").f_ffree


def inodes_of_many_files(fs: Filesystem) -> list[int]:
    """How many inodes are free: before 100 files are made, then, and when they were removed."""
    names = [f"inode-{number}" for number in range(100)]
    before = free_inodes()
    for name in names:
        write(name, name)
    during = free_inodes()
    for name in names:
        os.unlink(name)
    deadline = time.monotonic() + fs.room_returns_seconds
    while (after := free_inodes()) < before - 10 and time.monotonic() < deadline:
        time.sleep(0.2)
    return [before, during, after]


def room_of_a_large_file(fs: Filesystem) -> list[int]:
    """How many bytes are free: before 16 MiB are written, then, and when they were removed."""
    before = free()
    write("large", bytes(16 << 20))
    full = free()
    os.unlink("large")
    return [before, full, free(before - (1 << 20), fs.room_returns_seconds)]


def free_over_a_remount(fs: Filesystem) -> list[int]:
    """How many bytes are free before and after a remount, with a file that stays and one that was removed."""
    write("kept", bytes(3 << 20))
    empty = free()
    write("x", bytes(2 << 20))
    syncfs()
    os.unlink("x")
    # what is given back only later would be more after the remount
    before = free(empty - (1 << 19), fs.room_returns_seconds)
    fs.remount()
    return [before, free()]
