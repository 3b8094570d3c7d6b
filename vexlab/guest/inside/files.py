"""Content of regular files."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vexlab.guest.inside.amounts import CHUNK, Pace, allowed, found, most, note, refusal, room
from vexlab.guest.inside.attempts import outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import put, read, syncfs, write

MIB = 1 << 20

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


def reread(fs: Filesystem, sizes: Sequence[int]) -> dict[str, dict[str, list[Any]]]:
    """Write a file of each size; how many bytes of it read after a remount, and the place of the first wrong one.

    Of those that were refused, what `refusal` says.
    """
    refused: dict[str, list[Any]] = {}
    for size in sizes:
        try:
            write(f"s-{size}", pattern(size))
        except OSError as problem:
            refused[str(size)] = refusal(fs, "file_bytes", size, f"a file of {size} bytes", problem)
            Path(f"s-{size}").unlink(missing_ok=True)
    fs.remount()
    seen: dict[str, list[Any]] = {}
    for size in [size for size in sizes if str(size) not in refused]:
        data, wanted = Path(f"s-{size}").read_bytes(), pattern(size)
        differing = (place for place, (a, b) in enumerate(zip(data, wanted, strict=False)) if a != b)
        seen[str(size)] = [len(data), next(differing, None) if data != wanted else None]
        os.unlink(f"s-{size}")
    return {"refused": refused, "read": seen}


def big_file(fs: Filesystem, mebibytes: int, seconds: int) -> list[Any]:
    """Write a big file of noise; so many MiB, each block told from every other, or as much as a limit and time let.

    How many were written; which of them read otherwise after a remount, and how many bytes follow them.
    """
    data = bytearray(os.urandom(MIB))

    def part(number: int) -> bytearray:
        for block in range(256):
            data[block * 4096 : block * 4096 + 8] = struct.pack("Q", number * 256 + block)
        return data

    want = min(mebibytes, max(1, room(2) // MIB))
    size = pour(fs, part, min(want * MIB, int(fs.limits.get("file_bytes", want * MIB))), seconds)
    fs.remount()
    with open("big", "rb") as file:
        wrong = [
            number for number in range(-(-size // MIB))
            if file.read(MIB)[: size - number * MIB] != part(number)[: size - number * MIB]
        ]  # fmt: skip
        more = os.stat("big").st_size - size
    os.unlink("big")
    return [size, wrong, more]


def pour(fs: Filesystem, part: Callable[[int], bytearray], size: int, seconds: int) -> int:
    """Write a file `big` of so many bytes, by parts of 1 MiB: how many were written.

    Fewer where the target names no limit and one refused them, or where the time is over; both are noted.
    """
    pace, place, whole = Pace(seconds), 0, bytearray()
    descriptor = os.open("big", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    try:
        while place < size:
            whole = part(place // MIB) if place % MIB == 0 else whole
            data = whole[place % MIB :][: min(CHUNK, size - place)]
            put(descriptor, data)
            place += len(data)
            if pace.is_over() and place < size:
                note(f"slow: {pace.rate(place)}; the other {(size - place) / MIB:.1f} MiB were not written")
                break
    except OSError as problem:
        came = allowed(fs, "file_bytes", place + 1, f"a write behind {place} bytes of a file", problem)
        size = os.fstat(descriptor).st_size
        found(fs, "file_bytes", size, size + 1, came)
        return size
    finally:
        os.close(descriptor)
    return place


def append(fs: Filesystem) -> str:
    """Append to a file in three steps, with a remount after each; what it reads."""
    for step in ("one", "two", "three"):
        write("append", step, "a")
        fs.remount()
    return content_and_gone("append")


def content_and_gone(name: str) -> str:
    """What a file holds, which is removed: what checks leave behind counts where there can be few files."""
    content = read(name)
    os.unlink(name)
    return content


def overwrite_the_middle(fs: Filesystem) -> list[str]:
    """Write across the border of two blocks of a file of three: what it should read after a remount, and reads."""
    size = most(fs, "file_bytes", 12288)
    place = min(4094, size // 2)
    write("middle", b"a" * size)
    descriptor = os.open("middle", os.O_WRONLY)
    os.pwrite(descriptor, b"BBBB", place)
    os.close(descriptor)
    fs.remount()
    return ["a" * place + "BBBB" + "a" * (size - place - 4), content_and_gone("middle")]


def rewrite(fs: Filesystem) -> list[Any]:
    """Write a short content over a long one; size and content after a remount."""
    write("again", bytes(most(fs, "file_bytes", 9000)))
    write("again", "short")
    fs.remount()
    return [os.stat("again").st_size, content_and_gone("again")]


def delete(fs: Filesystem) -> list[Any]:
    """Delete a file and make another: whether the first is there at once and after a remount; what the other reads."""
    write("gone", "x")
    syncfs()
    os.unlink("gone")
    write("other", "y")
    at_once = os.path.exists("gone")
    fs.remount()
    return [at_once, os.path.exists("gone"), content_and_gone("other")]


def read_without_a_name(fs: Filesystem) -> list[Any]:
    """Delete a file that is open, and write another: whether its name is there, and what it reads."""
    write("open", "mine")
    with open("open") as file:
        os.unlink("open")
        write("other", bytes(most(fs, "file_bytes", min(MIB, room()))))
        syncfs()
        os.unlink("other")
        return [os.path.exists("open"), file.read()]
