"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from inside.attempts import outcome
from inside.filesystem import Filesystem
from inside.system import syncfs, write


class Case(NamedTuple):
    """How a file is made; its length then, how many of its bytes aren't zero, and what a target must claim for it."""

    make: Callable[[str], None]
    length: int
    filled: int
    capability: str = "truncate"


def yes(size: int) -> bytes:
    """So many bytes, none of them zero."""
    return b"y\n" * (size // 2)


def write_at(name: str, offset: int, data: bytes) -> None:
    """Write to a file that is there."""
    descriptor = os.open(name, os.O_WRONLY)
    os.pwrite(descriptor, data, offset)
    os.close(descriptor)


def cut(*lengths: int, synced: bool = False) -> Callable[[str], None]:
    """What writes a file of 20000 bytes and gives it these lengths by turns; with `synced` it is synced before each."""

    def make(name: str) -> None:
        write(name, yes(20000))
        for length in lengths:
            if synced:
                syncfs(name)
            os.truncate(name, length)

    return make


def grow(name: str) -> None:
    """Lengthen a short file."""
    write(name, "abc")
    os.truncate(name, 100000)


def write_behind_the_end(name: str) -> None:
    """Leave a gap. It must read as zeros, and not as what its blocks held when they were another file's."""
    write("noise", yes(4 << 20))
    syncfs("noise")
    os.unlink("noise")
    write(name, "a")
    write_at(name, 300000, b"z")


def make_a_hole(name: str) -> None:
    """Write one block in the middle of 16 MiB."""
    write(name, "")
    os.truncate(name, 16 << 20)
    write_at(name, 2000 * 4096, yes(4096))


CASES = {
    "cut within a block": Case(cut(5000), 5000, 5000),
    "cut at a block": Case(cut(4096), 4096, 4096),
    "cut to nothing": Case(cut(0), 0, 0),
    "grown": Case(grow, 100000, 3),
    # What was deleted must not come back when the file grows again, neither from memory nor from the disk.
    "cut and grown": Case(cut(4100, 20000), 20000, 4100),
    "written, cut, written and grown": Case(cut(4100, 20000, synced=True), 20000, 4100),
    "written behind its end": Case(write_behind_the_end, 300001, 2, ""),
    "with a hole": Case(make_a_hole, 16 << 20, 4096, "sparse-files"),
}


def lengths(made: dict[str, str]) -> dict[str, list[Any]]:
    """For each file: its size, how many bytes of it read, how many of them aren't zero, and how much room it takes.

    The errno alone with which it could not be made.
    """
    found: dict[str, list[Any]] = {}
    for case, came in made.items():
        if came == "done":
            seen, data = os.stat(f"file={case}"), Path(f"file={case}").read_bytes()
            found[case] = [seen.st_size, len(data), len(data) - data.count(0), seen.st_blocks * 512]
        else:
            found[case] = [came]
    return found


def make_all(fs: Filesystem) -> list[dict[str, list[Any]]]:
    """Make the file of each case; what `lengths` says of them at once and after a remount."""
    made = {name: outcome(case.make, f"file={name}") for name, case in CASES.items()}
    at_once = lengths(made)
    fs.remount()
    return [at_once, lengths(made)]
