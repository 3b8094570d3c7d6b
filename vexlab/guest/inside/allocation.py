"""fallocate(2) in each of its modes, and sync_file_range(2)."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted, wide
from vexlab.guest.inside.system import syncfs, write

KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32  # linux/falloc.h
BLOCK = 65536  # a multiple of each size of block and cluster that is in use here
SIZE = 4 * BLOCK


class Mode(NamedTuple):
    """A mode, where it is tried on a file of SIZE bytes, and what the file must be afterwards.

    `kept`, `zeros` are the pieces of the file that follow each other: a number of the old content's bytes from a
    place, or so many zeros with place -1.
    """

    mode: int
    offset: int
    length: int
    pieces: list[tuple[int, int]]


MODES: dict[str, Mode] = {
    "0, beyond the end": Mode(0, SIZE - 100, BLOCK, [(0, SIZE), (-1, BLOCK - 100)]),
    "0, within the file": Mode(0, 1000, BLOCK, [(0, SIZE)]),
    "KEEP_SIZE, beyond the end": Mode(KEEP_SIZE, SIZE, BLOCK, [(0, SIZE)]),
    "PUNCH_HOLE": Mode(
        PUNCH_HOLE | KEEP_SIZE, BLOCK - 1000, BLOCK + 2000,
        [(0, BLOCK - 1000), (-1, BLOCK + 2000), (2 * BLOCK + 1000, 2 * BLOCK - 1000)],
    ),
    "PUNCH_HOLE within a block": Mode(PUNCH_HOLE | KEEP_SIZE, 100, 50, [(0, 100), (-1, 50), (150, SIZE - 150)]),
    "PUNCH_HOLE beyond the end": Mode(PUNCH_HOLE | KEEP_SIZE, SIZE - 10, BLOCK, [(0, SIZE - 10), (-1, 10)]),
    "ZERO_RANGE": Mode(
        ZERO, BLOCK - 1000, BLOCK + 2000,
        [(0, BLOCK - 1000), (-1, BLOCK + 2000), (2 * BLOCK + 1000, 2 * BLOCK - 1000)],
    ),
    "ZERO_RANGE beyond the end": Mode(ZERO, SIZE - 100, BLOCK, [(0, SIZE - 100), (-1, BLOCK)]),
    "ZERO_RANGE with KEEP_SIZE": Mode(ZERO | KEEP_SIZE, SIZE - 100, BLOCK, [(0, SIZE - 100), (-1, 100)]),
    "COLLAPSE_RANGE": Mode(COLLAPSE, BLOCK, BLOCK, [(0, BLOCK), (2 * BLOCK, 2 * BLOCK)]),
    "INSERT_RANGE": Mode(INSERT, BLOCK, BLOCK, [(0, BLOCK), (-1, BLOCK), (BLOCK, 3 * BLOCK)]),
}  # fmt: skip


def fallocate(name: str, mode: int, offset: int, length: int) -> None:
    """fallocate(2) of a file."""
    descriptor = os.open(name, os.O_RDWR)
    try:
        counted("fallocate", descriptor, mode, wide(offset), wide(length))
    finally:
        os.close(descriptor)


def filled() -> bytes:
    """SIZE bytes that aren't zero, each block of 512 another."""
    return b"".join(bytes([1 + number % 251, 1 + number // 251]) * 256 for number in range(SIZE // 512))


def expected(pieces: list[tuple[int, int]]) -> bytes:
    """What the file must be."""
    old = filled()
    return b"".join(old[place : place + length] if place >= 0 else bytes(length) for place, length in pieces)


def compared(name: str, wanted: bytes) -> str:
    """`right`, or in which way a file is something else."""
    with open(name, "rb") as file:
        found = file.read()
    if found == wanted:
        return "right"
    if len(found) != len(wanted):
        return f"{len(found)} bytes long, and not {len(wanted)}"
    place = next(place for place, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
    return f"at byte {place} it is {found[place]}, and not {wanted[place]}"


def try_all(fs: Filesystem) -> dict[str, list[Any]]:
    """For each of MODES: what came of it, the content at once and after a remount, and blocks before and after."""
    seen = dict[str, list[Any]]()
    for name, case in MODES.items():
        if not os.path.exists("as-it-was"):  # a call that is refused leaves it so, for the next
            write("as-it-was", filled())
            syncfs()
        before = os.stat("as-it-was").st_blocks
        came = outcome(fallocate, "as-it-was", case.mode, case.offset, case.length)
        own = f"done-{len(seen)}"
        if came == "done":
            os.rename("as-it-was", own)
        file, wanted = (own, expected(case.pieces)) if came == "done" else ("as-it-was", filled())
        seen[name] = [came, compared(file, wanted), before, os.stat(file).st_blocks]
    fs.remount()
    for number, (name, case) in enumerate(MODES.items()):
        done, own = seen[name][0] == "done", f"done-{number}"
        seen[name].insert(2, compared(own, expected(case.pieces)) if done else "right")
        if done:
            os.unlink(own)
    return seen


def sync_a_range(_fs: Filesystem) -> str:
    """What comes of sync_file_range(2) of a file that was just written: write out, and wait."""
    write("range", b"x" * 20000)
    with open("range", "rb") as file:
        return outcome(counted, "sync_file_range", file.fileno(), wide(0), wide(0), 7)
