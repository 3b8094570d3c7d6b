"""Full, crowded, deep."""

from __future__ import annotations

import errno
import os

from inside.filesystem import Filesystem
from inside.system import free, read, write

DOWN = "down" * 15  # a name of which a few make a path that is too long


def fill_up(block: bytes, number: int) -> int:
    """Write a file until no room is left; how many bytes it took. Another error than ENOSPC is raised."""
    written = 0
    with open(f"full-{number}", "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(block)
                if written % (8 << 20) == 0:
                    os.fsync(file.fileno())
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
        os.fsync(file.fileno())
    return written


def check_and_remove(block: bytes, number: int, size: int) -> None:
    """Read what `fill_up` wrote, and remove it."""
    place = 0
    with open(f"full-{number}", "rb") as file:
        while data := file.read(len(block)):
            assert data == block[: len(data)], f"the full filesystem lost data of full-{number} near {place}"
            place += len(data)
    assert place == size, f"full-{number} has {place} bytes, {size} were written"
    os.unlink(f"full-{number}")


def fill(fs: Filesystem, rounds: int) -> list[list[int]]:
    """Fill it up, read everything and remove it; for each round the bytes free before, when full, and after."""
    block = os.urandom(1 << 16) * 16
    seen = []
    for _ in range(rounds):
        before, sizes = free(), list[int]()
        while not sizes or sizes[-1] > 0:
            sizes.append(fill_up(block, len(sizes)))
        full = free()
        for number, size in enumerate(sizes):
            check_and_remove(block, number, size)
        seen.append([before, full, free(before - (1 << 20), fs.room_returns_seconds)])
    return seen


def make_small_files(_fs: Filesystem, count: int) -> None:
    """Make so many files in one directory, each with a content of its own."""
    for number in range(count):
        write(f"file-{number}", str(number) * (number % 50))


def check_small_files(_fs: Filesystem, count: int) -> None:
    """Each is listed once and holds what it held; all can be removed, and nothing is left."""
    names = [name for name in os.listdir(".") if name.startswith("file-")]
    different = len(set(names))
    assert len(names) == count == different, f"{len(names)} names are listed, {different} different, {count} were made"
    for number in range(count):
        assert read(f"file-{number}") == str(number) * (number % 50), f"file-{number} has other content"
        os.unlink(f"file-{number}")
    left = set(os.listdir(".")) - {"lost+found"}
    assert not left, f"{len(left)} names are still there"


def make_deep_tree(_fs: Filesystem, depth: int) -> None:
    """Make directories in each other, each with a file, by relative names, which are never too long."""
    for level in range(depth):
        os.mkdir(DOWN)
        os.chdir(DOWN)
        write("level", str(level))


def check_deep_tree(fs: Filesystem, depth: int) -> None:
    """Each file holds what it held; all can be removed on the way up, which ends where the way down began."""
    for level in range(depth):
        os.chdir(DOWN)
        assert read("level") == str(level), f"level {level} has other content"
    for _ in range(depth):
        os.unlink("level")
        os.chdir("..")
        os.rmdir(DOWN)
    assert os.stat(".").st_ino == os.stat(fs.point).st_ino, "the way back up ends elsewhere"
