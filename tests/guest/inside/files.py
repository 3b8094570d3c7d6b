"""Content of regular files."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inside.attempts import outcomes
from inside.filesystem import Filesystem
from inside.system import read, syncfs, write

# What is tried beside a file `file`, and what must come of it.
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "create what exists": (lambda: os.open("file", os.O_CREAT | os.O_EXCL), "EEXIST"),
    "open what isn't there": (lambda: os.open("missing", os.O_RDONLY), "ENOENT"),
    "remove what isn't there": (lambda: os.unlink("missing"), "ENOENT"),
    "go through a file": (lambda: os.open("file/x", os.O_RDONLY), "ENOTDIR"),
    "write to what is open for reading": (lambda: os.write(os.open("file", os.O_RDONLY), b"x"), "EBADF"),
}


def errors(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt."""
    write("file", "content")
    return outcomes({name: attempt for name, (attempt, _) in ERRORS.items()})


def pattern(size: int) -> bytes:
    """So many bytes of which each 8 tell where they belong, so that exchanged blocks show."""
    return array("Q", range(size // 8 + 1)).tobytes()[:size]


def reread(fs: Filesystem, sizes: Sequence[int]) -> dict[str, list[int | None]]:
    """Write a file of each size; for each how many bytes read after a remount, and the place of the first wrong one."""
    for size in sizes:
        write(f"size-{size}", pattern(size))
    fs.remount()
    found: dict[str, list[int | None]] = {}
    for size in sizes:
        data, wanted = Path(f"size-{size}").read_bytes(), pattern(size)
        differing = (place for place, (a, b) in enumerate(zip(data, wanted, strict=False)) if a != b)
        found[str(size)] = [len(data), next(differing, None) if data != wanted else None]
    return found


def big_file(fs: Filesystem) -> list[Any]:
    """Write 20 MiB of noise in which every block is told from every other.

    Which MiB read otherwise after a remount, and how many bytes follow them.
    """
    data = bytearray(os.urandom(1 << 20))

    def part(number: int) -> bytearray:
        for block in range(256):
            data[block * 4096 : block * 4096 + 8] = struct.pack("Q", number * 256 + block)
        return data

    with open("big", "wb") as new:
        for number in range(20):
            new.write(part(number))
    fs.remount()
    with open("big", "rb") as file:
        wrong = [number for number in range(20) if file.read(1 << 20) != part(number)]
        more = file.read(1)
    os.unlink("big")
    return [wrong, len(more)]


def append(fs: Filesystem) -> str:
    """Append to a file in three steps, with a remount after each; what it reads."""
    for step in ("one", "two", "three"):
        write("append", step, "a")
        fs.remount()
    return read("append")


def overwrite_the_middle(fs: Filesystem) -> str:
    """Write across the border of two blocks of a file of three; what it reads after a remount."""
    write("middle", b"a" * 12288)
    descriptor = os.open("middle", os.O_WRONLY)
    os.pwrite(descriptor, b"BBBB", 4094)
    os.close(descriptor)
    fs.remount()
    return read("middle")


def rewrite(fs: Filesystem) -> list[Any]:
    """Write a short content over a long one; size and content after a remount."""
    write("again", bytes(9000))
    write("again", "short")
    fs.remount()
    return [os.stat("again").st_size, read("again")]


def delete(fs: Filesystem) -> list[Any]:
    """Delete a file and make another: whether the first is there at once and after a remount; what the other reads."""
    write("gone", "x")
    syncfs()
    os.unlink("gone")
    write("other", "y")
    at_once = os.path.exists("gone")
    fs.remount()
    return [at_once, os.path.exists("gone"), read("other")]


def read_without_a_name(_fs: Filesystem) -> list[Any]:
    """Delete a file that is open, and write another: whether its name is there, and what it reads."""
    write("open", "mine")
    with open("open") as file:
        os.unlink("open")
        write("other", bytes(1 << 20))
        syncfs()
        return [os.path.exists("open"), file.read()]
