"""Full, crowded, deep."""

from __future__ import annotations

import errno
import os
from typing import Any

from vexlab.guest.inside.amounts import REFUSALS, SPARE, Pace, allowed, found, most
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import free, put, read, syncfs, write, write_out

DOWN = "down" * 15  # a name of which a few make a path that is too long
LEAST = 1 << 16  # bytes: a file that takes fewer found no room
SMALLEST = 1 << 12  # bytes of a write


def fill_up(block: bytes, number: int, pace: Pace) -> int:
    """Write a file until no room is left, or no more goes into it, or time is over; how many bytes it took."""
    written, step = 0, len(block)
    descriptor = os.open(f"full-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        while step >= SMALLEST and not pace.is_over():
            try:
                put(descriptor, block[written % len(block) :][:step])
            except OSError as problem:
                if problem.errno not in (errno.ENOSPC, errno.EFBIG):
                    raise
                step //= 16  # a write of which not all has room need not be done in part
            written = os.fstat(descriptor).st_size
            if written % (8 << 20) == 0:
                write_out(descriptor)
        write_out(descriptor)
    finally:
        os.close(descriptor)
    return written


def check_and_remove(block: bytes, number: int, size: int) -> None:
    """Read what `fill_up` wrote, and remove it."""
    place = 0
    with open(f"full-{number}", "rb") as file:
        while data := file.read(len(block)):
            assert data == block[: len(data)], f"the full filesystem lost data of full-{number} near byte {place}"
            place += len(data)
    assert place == size, f"full-{number} has {place} bytes, {size} were written"
    os.unlink(f"full-{number}")


def fill(fs: Filesystem, rounds: int, seconds: int) -> list[list[Any]]:
    """Fill it up, read everything and remove it, in so many seconds at most for the writing.

    For each round the bytes free before, those for all when full, and free after; what ended it early, in words; how
    many files.
    """
    block = os.urandom(1 << 16) * 16
    seen: list[list[Any]] = []
    pace, done = Pace(seconds), 0
    for _ in range(rounds):
        before, sizes, why = free(), list[int](), ""
        while not why and (not sizes or sizes[-1] >= LEAST):
            try:
                sizes.append(fill_up(block, len(sizes), pace))
            except OSError as problem:
                if problem.errno not in REFUSALS or not problem.filename:
                    raise
                why = f"file {len(sizes) + 1} was refused with {errno.errorcode[problem.errno or 0]}"
            if pace.is_over():
                why = f"slow: {pace.rate(done + sum(sizes))}"
        full = available()
        for number, size in enumerate(sizes):
            check_and_remove(block, number, size)
        done += sum(sizes)
        seen.append([before, full, free(before - (1 << 20), fs.room_returns_seconds), why, len(sizes)])
        if why:
            break
    return seen


def available() -> int:
    """How many bytes are free for all, everything written: what the filesystem keeps for itself is not among them."""
    syncfs()
    seen = os.statvfs(".")
    return seen.f_bavail * seen.f_frsize


def make_small_files(fs: Filesystem, want: int) -> int:
    """Make so many files in one directory, each with a content of its own, or as many as there can be; how many."""
    count = min(want, int(fs.limits.get("directory_entries", want + 1)) - 1, most(fs, "files", want + SPARE) - SPARE)
    for number in range(count):
        try:
            write(f"file-{number}", content_of(number))
        except OSError as problem:
            what = f"{number} files in a directory, and one more"
            found(fs, "directory_entries", number, want, allowed(fs, "directory_entries", number + 1, what, problem))
            return number
    return count


def content_of(number: int) -> str:
    """What a small file holds, by its number."""
    return str(number) * (number % 50)


def check_small_files(_fs: Filesystem, count: int) -> None:
    """Each is listed once and holds what it held; all can be removed, and nothing is left."""
    names = [name for name in os.listdir(".") if name.lower().startswith("file-")]
    different = len(set(names))
    assert len(names) == count == different, f"{len(names)} names are listed, {different} different, {count} were made"
    for number in range(count):
        assert read(f"file-{number}") == content_of(number), f"file-{number} has other content"
        os.unlink(f"file-{number}")
    left = set(os.listdir(".")) - {"lost+found"}
    assert not left, f"{len(left)} names are still there"


def make_deep_tree(fs: Filesystem, want: int) -> list[Any]:
    """Make directories in each other, each with a file, by relative names, which are never too long.

    How deep, and the name.
    """
    depth, name = (most(fs, "files", 2 * want + SPARE) - SPARE) // 2, DOWN[: most(fs, "name_bytes", len(DOWN))]
    for level in range(depth):
        os.mkdir(name)
        os.chdir(name)
        write("level", str(level))
    return [depth, name]


def check_deep_tree(fs: Filesystem, depth: int, name: str) -> None:
    """Each file holds what it held; all can be removed on the way up, which ends where the way down began."""
    for level in range(depth):
        os.chdir(name)
        assert read("level") == str(level), f"the file at level {level} has other content"
    for _ in range(depth):
        os.unlink("level")
        os.chdir("..")
        os.rmdir(name)
    assert os.stat(".").st_ino == os.stat(fs.point).st_ino, "the way back up ends elsewhere"
