"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import os
import time

from vexlab.guest.inside.amounts import most, portions, room, write_files
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import free, syncfs, write


def sizes(_fs: Filesystem) -> list[int]:
    """Size of a block in bytes; how many there are, are free, are free for all; how long a name may be."""
    seen = os.statvfs(".")
    return [seen.f_frsize, seen.f_blocks, seen.f_bfree, seen.f_bavail, seen.f_namemax]


def free_inodes() -> int:
    """How many inodes are free, all written."""
    syncfs()
    return os.statvfs(".").f_ffree


def inodes_of_many_files(fs: Filesystem) -> list[int]:
    """How many inodes are free: before as many files as 100 are made, then, and when they were removed; how many."""
    count = min(most(fs, "files", 101) - 1, most(fs, "directory_entries", 110) - 10)
    names = [f"inode-{number}" for number in range(count)]
    before = free_inodes()
    for name in names:
        write(name, name)
    during = free_inodes()
    for name in names:
        os.unlink(name)
    deadline = time.monotonic() + fs.room_returns_seconds
    while (after := free_inodes()) < before - count // 10 and time.monotonic() < deadline:
        time.sleep(0.2)
    return [before, during, after, count]


def room_of_large_files(fs: Filesystem) -> list[int]:
    """How many bytes are free: before as few files as have 16 MiB are written, then, and when they were removed.

    And how many bytes they had.
    """
    sizes = portions(fs, 16 << 20)
    names = [f"large{number}" for number in range(len(sizes))]
    before, total = free(), sum(sizes)
    write_files(names, sizes)
    full = free()
    for name in names:
        os.unlink(name)
    return [before, full, free(before - total // 16, fs.room_returns_seconds), total]


def free_over_a_remount(fs: Filesystem) -> list[int]:
    """How many bytes are free before and after a remount, with a file that stays and one that was removed."""
    size = most(fs, "file_bytes", min(3 << 20, room()))
    write_files(["kept"], [size])
    empty = free()
    write_files(["x"], [size * 2 // 3])
    syncfs()
    os.unlink("x")
    # what is given back only later would be more after the remount
    before = free(empty - (1 << 19), fs.room_returns_seconds)
    fs.remount()
    after = free()
    os.unlink("kept")
    return [before, after]
