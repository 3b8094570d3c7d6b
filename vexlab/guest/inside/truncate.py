"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vexlab.guest.inside.amounts import most, room
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import syncfs, write


class Case(NamedTuple):
    """What makes a file, given how large it may be; and what a target must claim for it.

    It returns the length that the file has then, and how many of its bytes aren't zero.
    """

    make: Callable[[str, int], list[int]]
    capability: str = "truncate"


LARGEST = 16 << 20  # bytes of the file with a hole; all others are smaller


def yes(size: int) -> bytes:
    """So many bytes, none of them zero."""
    return (b"y\n" * (size // 2 + 1))[:size]


def write_at(name: str, offset: int, data: bytes) -> None:
    """Write to a file that is there."""
    descriptor = os.open(name, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def cut(*lengths: int, synced: bool = False) -> Callable[[str, int], list[int]]:
    """What writes a file of 20000 bytes and gives it these lengths by turns; with `synced` it is synced before each.

    Where files can't be that large, all lengths are that much smaller.
    """

    def make(name: str, largest: int) -> list[int]:
        size = min(20000, largest)
        wanted = [length * size // 20000 for length in lengths]
        write(name, yes(size))
        for length in wanted:
            if synced:
                syncfs(name)
            os.truncate(name, length)
        return [wanted[-1], min(wanted)]

    return make


def grow(name: str, largest: int) -> list[int]:
    """Lengthen a short file."""
    write(name, "abc")
    os.truncate(name, min(100000, largest))
    return [min(100000, largest), 3]


def write_behind_the_end(name: str, largest: int) -> list[int]:
    """Leave a gap. It must read as zeros, and not as what its blocks held when they were another file's."""
    write("noise", yes(min(4 << 20, largest, room())))
    syncfs("noise")
    os.unlink("noise")
    write(name, "a")
    place = min(300000, largest - 1)
    write_at(name, place, b"z")
    return [place + 1, 2]


def make_a_hole(name: str, largest: int) -> list[int]:
    """Write one block in the middle of 16 MiB, or of as much as a file can have."""
    write(name, "")
    os.truncate(name, largest)
    size = min(4096, largest // 4)
    write_at(name, largest // 8192 * 4096, yes(size))
    return [largest, size]


CASES = {
    "cut within a block": Case(cut(5000)),
    "cut at a block": Case(cut(4096)),
    "cut to nothing": Case(cut(0)),
    "grown": Case(grow),
    # What was deleted must not come back when the file grows again, neither from memory nor from the disk.
    "cut and grown": Case(cut(4100, 20000)),
    "written, cut, written and grown": Case(cut(4100, 20000, synced=True)),
    "written behind its end": Case(write_behind_the_end, ""),
    "with a hole": Case(make_a_hole, "sparse-files"),
}


def lengths(made: dict[str, str]) -> dict[str, list[int]]:
    """For each file: its size, how many bytes of it read, how many of them aren't zero, and how much room it takes."""
    found = {}
    for case, name in made.items():
        seen, data = os.stat(name), Path(name).read_bytes()
        found[case] = [seen.st_size, len(data), len(data) - data.count(0), seen.st_blocks * 512]
    return found


def make_all(fs: Filesystem, cases: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Make the file of each of these cases: what `lengths` should say of it, says at once, and after a remount.

    And the errno with which it could not be made.
    """
    largest = most(fs, "file_bytes", LARGEST if "with a hole" in cases else 4 << 20)
    wanted, refused = {}, {}
    names = {case: f"t{number}" for number, case in enumerate(cases)}
    for case, name in names.items():
        try:
            wanted[case] = CASES[case].make(name, largest)
        except OSError as problem:
            refused[case] = errno.errorcode.get(problem.errno or 0, str(problem))
    made = {case: name for case, name in names.items() if case in wanted}
    at_once = lengths(made)
    fs.remount()
    return {"wanted": wanted, "refused": refused, "at once": at_once, "after a remount": lengths(made)}
