"""Ways of data to the disk: mapped memory, and what was synced."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import copy_to_device
from vexlab.guest.inside.system import put, read, statistics, syncfs, write

FLUSHES = 15  # of the counters of a block device


def mapped_memory(fs: Filesystem) -> dict[str, Any]:
    """Write a file through a mapping; what reads at once, and whether it is right after a remount, mapped and read."""
    size = most(fs, "file_bytes", 12345)
    middle = min(4090, size // 2)
    write("mapped", bytes(size))
    with open("mapped", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[middle : middle + 12] = b"across pages"
        memory[size - 5 :] = b"ended"
        memory.flush()
        file.seek(middle)
        at_once = file.read(12).decode(errors="replace")
    fs.remount()
    wanted = bytes(middle) + b"across pages" + bytes(size - middle - 17) + b"ended"
    with open("mapped", "r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        return {"read at once": at_once, "mapped again": memory[:] == wanted, "read again": file.read() == wanted}


def by_fsync(file: int, directory: int) -> None:
    """fsync(2) of a file and of the name that leads to it."""
    os.fsync(file)
    os.fsync(directory)


def by_fdatasync(file: int, directory: int) -> None:
    """fdatasync(2) of a file, and fsync(2) of the name that leads to it."""
    os.fdatasync(file)
    os.fsync(directory)


def by_syncfs(_file: int, _directory: int) -> None:
    """syncfs(2) of all."""
    syncfs()


SYNCS: dict[str, Callable[[int, int], None]] = {"fsync": by_fsync, "fdatasync": by_fdatasync, "syncfs": by_syncfs}


def flushes(fs: Filesystem) -> dict[str, int]:
    """How often the device was told to write down its cache by each of these syncs; nothing where it has no cache.

    The device's own count: Documentation/block/stat.rst, flush I/Os.
    """
    if "write back" not in read(f"/sys/class/block/{os.path.basename(fs.device)}/queue/write_cache"):
        return {}
    size, seen = most(fs, "file_bytes", 20_000), dict[str, int]()
    file = os.open("flushed", os.O_CREAT | os.O_RDWR)

    def told(sync: Callable[[int], None], content: bytes) -> int:
        os.pwrite(file, content, 0)
        before = statistics(fs.device)[FLUSHES]
        sync(file)
        return statistics(fs.device)[FLUSHES] - before

    seen["fsync(2) of a new file"] = told(os.fsync, b"a" * size)
    syncfs()
    seen["fdatasync(2) of a file that was written over"] = told(os.fdatasync, b"b" * size)
    syncfs()
    seen["fsync(2) of a file that was written over"] = told(os.fsync, b"c" * size)
    os.close(file)
    return seen


def sync_and_copy(fs: Filesystem, name: str, way: str, twin: str) -> int:
    """Write a file that repeats its name, sync it in one of these ways, and copy the device with the file still open.

    Then unmount: two filesystems that claim to be the same one are not mounted at once. Returns how often it does.
    """
    times = most(fs, "file_bytes", 100_000) // len(name)
    directory, file = os.open(".", os.O_RDONLY), os.open(name, os.O_CREAT | os.O_RDWR)
    put(file, name.encode() * times)
    SYNCS[way](file, directory)
    copy_to_device(fs.image, twin)
    os.close(directory)
    os.close(file)
    fs.unmount()
    return times


def read_in_a_mount(fs: Filesystem, name: str) -> str:
    """What a file holds, with the filesystem mounted for that alone."""
    fs.mount()
    found = read(name)
    fs.unmount()
    return found


def mount_and_write(fs: Filesystem, name: str, content: str) -> None:
    """Mount it and make a file."""
    fs.mount()
    write(name, content)


def read_after_a_remount(fs: Filesystem, name: str) -> str:
    """What a file holds after a remount."""
    fs.remount()
    return read(name)
