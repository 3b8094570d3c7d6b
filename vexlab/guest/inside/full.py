"""A full device: each call that needs room is refused, as one that did nothing."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vexlab.guest.inside.amounts import SPARE, most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.mappings import touch
from vexlab.guest.inside.part import begin
from vexlab.guest.inside.room import counts, lost
from vexlab.guest.inside.system import free, syncfs, write, write_out

MOST = 400  # times that a call is tried until it is refused: what has room for more is asked no further
REFUSALS = 30  # times that it is tried afterwards, with what that takes counted


class Need(NamedTuple):
    """A call that needs room, by the number of the turn; what undoes it, and what a target must claim that has it."""

    call: Callable[[int], object]
    is_there: Callable[[int], bool]
    capabilities: tuple[str, ...] = ()


def name(kind: str, number: int) -> str:
    """A long name, so that a directory needs another block soon."""
    return f"many/{f'{kind[:4]}{number}-'.ljust(min(200, os.statvfs('.').f_namemax), 'n')}"


def make(kind: str, number: int) -> None:
    """Make an empty file."""
    os.close(os.open(name(kind, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def rename(number: int) -> None:
    """Give a file a long name in another directory, and its short one to a new link."""
    os.link("source", "short")
    try:
        os.rename("short", name("renamed", number))
    finally:
        if os.path.lexists("short"):
            os.unlink("short")


def there(kind: str) -> Callable[[int], bool]:
    """Whether the name of a turn is there."""
    return lambda number: os.path.lexists(name(kind, number))


def append(number: int) -> None:
    """Append a block to a file, all of it or nothing, and have it written."""
    with open("appended", "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        taken = file.write(bytes([1 + number % 250]) * 4096)
        if taken != 4096:
            os.truncate("appended", size)
            raise OSError(errno.ENOSPC, "a part was written")
        write_out(file.fileno())


def appended(number: int) -> bool:
    """Whether the block of a turn is at the end of that file."""
    with open("appended", "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        return file.read() == bytes([1 + number % 250]) * 4096


NEEDS: dict[str, Need] = {
    "write": Need(append, appended),
    "create": Need(lambda number: make("file", number), there("file")),
    "mkdir": Need(lambda number: os.mkdir(name("directory", number)), there("directory"), ("directories",)),
    "symlink": Need(
        lambda number: os.symlink("t" * 300, name("symlink", number)), there("symlink"), ("symbolic-links",)
    ),
    "link": Need(lambda number: os.link("source", name("link", number)), there("link"), ("hard-links",)),
    "rename": Need(rename, there("renamed"), ("rename", "hard-links")),
}  # fmt: skip


def fill_up() -> None:
    """Write to files until there is no room for a byte; what their metadata takes is taken too."""
    for number in range(MOST):
        if outcome(fill, f"filler-{number}") != "done" or not os.stat(f"filler-{number}").st_size:
            break


def fill(name: str) -> None:
    """Write to a file until it takes no more: it may be as long as one may be."""
    noise = os.urandom(1 << 16) * 16  # no two files alike: a filesystem that compresses would not be full for long
    with open(name, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 4096, 512):
            while outcome(file.write, noise[:size]) == "done":
                pass
            write_out(file.fileno())  # or what was believed to have room has none


def refuse(need: Need, block: int) -> dict[str, Any]:
    """Make a call until it is refused, and again: how it was refused, what that took, and what is there of it.

    `bounds` are the bytes and inodes of which that is too much: one each second time.
    """
    number, came = 0, "done"
    while number < MOST and came == "done":
        number += 1
        came = outcome(need.call, number)
    if came == "done":
        return {"done": number}
    before, bounds = counts(), [REFUSALS // 2 * block, REFUSALS // 2]
    others = {came}
    for again in range(number, number + REFUSALS):
        others.add(outcome(need.call, again))
    missing = lost(before, bounds, 5.0) if others == {came} else [0, 0]
    believed = [turn for turn in range(number, number + REFUSALS) if need.is_there(turn)] if others == {came} else []
    return {
        "done": number - 1, "refused": sorted(others), "lost": missing, "bounds": bounds, "there": len(believed),
    }  # fmt: skip


def store_into_a_hole(fs: Filesystem) -> str:
    """Store into each page of a hole of 1 MiB until that is refused, and msync: how it ended, or what was lost.

    `SIGBUS` and `ENOSPC` are refusals; what was believed must be in the file after a remount.
    """
    with open("hole", "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        stored, came = list[int](), "done"
        with mmap.mmap(file.fileno(), 0) as memory:
            for place in range(0, size, mmap.PAGESIZE):
                if touch(memory, place, store=True) != "done":
                    came = "SIGBUS"
                    break
                stored.append(place)
            written = outcome(memory.flush)
    if written == "done":
        fs.remount()
        with open("hole", "rb") as file:
            content = file.read()
        gone = [place for place in stored if content[place] != ord("!")]
        if gone:
            return f"{len(gone)} of {len(stored)} bytes are gone that msync(2) wrote"
    return came if came != "done" else written


def look(fs: Filesystem, can: Sequence[str]) -> dict[str, Any]:
    """Fill it up, make each call of NEEDS until it is refused, remove all: what came of each, and what was lost.

    `left` are bytes and inodes that aren't free any more, at once and after a remount; `bounds` is what is too much.
    """
    os.mkdir("many")
    write("source", "content")
    write("appended", "")
    write("hole", "")
    if "truncate" in can:
        os.truncate("hole", 1 << 20)
    block = os.statvfs(".").f_frsize
    before = counts()
    fill_up()
    seen: dict[str, Any] = {"free when full": free()}
    for kind, need in NEEDS.items():
        if set(need.capabilities) <= set(can):
            seen[kind] = refuse(need, block)
    seen["links of the source"] = links_are_right(seen)
    if {"mmap", "truncate"} <= set(can):
        seen["store"] = store_into_a_hole(fs)
    kept = appended_is_right(seen["write"]["done"])
    fs.remount()
    seen["appended"] = [kept, appended_is_right(seen["write"]["done"])]
    clear()
    seen["bounds"] = bounds = [max(1 << 20, 64 * block), 4]
    seen["left"] = lost(before, bounds, fs.room_returns_seconds)
    fs.remount()
    seen["left after a remount"] = lost(before, bounds, fs.room_returns_seconds)
    return seen


def appended_is_right(done: int) -> str:
    """`right` if the file that was appended to has all that was believed to be done and no more; else what it has."""
    with open("appended", "rb") as file:
        content = file.read()
    if len(content) != done * 4096:
        return f"{len(content)} bytes, and {done * 4096} were written"
    blocks = [content[place : place + 4096] for place in range(0, len(content), 4096)]
    wrong = [
        number for number, block in enumerate(blocks) if block != block[:1] * 4096 or block[0] != 1 + (number + 1) % 250
    ]
    return f"{len(wrong)} of {done} blocks hold something else" if wrong else "right"


def links_are_right(seen: dict[str, Any]) -> list[int]:
    """Link count of the source, and how many names it should have."""
    names = sum(seen[kind]["done"] for kind in ("link", "rename") if kind in seen)
    return [os.stat("source").st_nlink, 1 + names]


def clear() -> None:
    """Remove all that was made."""
    for entry in list(os.scandir("many")):
        (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
    for each in os.listdir("."):
        if each.startswith("filler-") or each in ("hole", "appended"):
            os.unlink(each)
    syncfs()


MOST_INODES = 5000  # free ones; more take too long to use up
SMALL = 8 << 20  # bytes of a device that has no more than that, if it can be as small
PLACES = 16  # directories for them, at least
ENTRIES = 80  # that each has at most: MOST_INODES then fit in directories that are no more than that


def places_for(inodes: int, entries: int) -> int:
    """In how many directories to make so many files, with so many entries in one; 0 when they don't fit below a root.

    A directory without room for an entry refuses as a filesystem without an inode does.
    """
    places = max(min(PLACES, inodes // 4), -(-inodes // entries))
    return places if places + SPARE <= entries else 0


def make_small(fs: Filesystem, size: int, mkfs: str) -> str:
    """Make it anew on a small device, or on one of so many bytes when mkfs refuses that; returns the device."""
    try:
        return begin(fs, SMALL, mkfs)
    except OSError:
        return begin(fs, size, mkfs)


def without_inodes(fs: Filesystem, can: Sequence[str]) -> dict[str, Any]:
    """Make empty files until there is no inode for another, and try more: what came of it, and what was lost.

    Nothing where inodes aren't counted, or where there are many, or where directories have too few entries for them.
    """
    before = os.statvfs(".").f_ffree
    if not 0 < before <= MOST_INODES:
        return {}
    named = int(fs.limits.get("directory_entries", ENTRIES))
    # Where there are few inodes, so many entries can't be made to measure it, and are not needed.
    entries = most(fs, "directory_entries", ENTRIES) if before > ENTRIES else min(named, ENTRIES)
    if not (places := places_for(before, entries)):
        return {}
    target = "x" * most(fs, "symbolic_link_bytes", 300) if "symbolic-links" in can else ""
    for place in range(places):
        os.mkdir(f"files-{place}")
    made, came = 0, "done"
    while came == "done" and made <= before:
        came = outcome(write, f"files-{made % places}/{made}", "")
        made += came == "done"
    attempts: dict[str, Callable[[], object]] = {"create": lambda: write("more", "")}
    if target:
        attempts["symlink"] = lambda: os.symlink(target, "more")
    attempts["mkdir"] = lambda: os.mkdir("more")
    full = counts()
    others = {kind: outcome(attempt) for _ in range(REFUSALS) for kind, attempt in attempts.items()}
    seen: dict[str, Any] = {"first": came, "others": others, "full": full[1]}
    bounds = [max(1 << 20, REFUSALS // 2 * os.statvfs(".").f_frsize), REFUSALS // 2]
    seen |= {"lost": lost(full, bounds, fs.room_returns_seconds), "bounds": bounds}
    for number in range(made):
        os.unlink(f"files-{number % places}/{number}")
    for place in range(places):
        os.rmdir(f"files-{place}")
    fs.remount()
    return {**seen, "left": [before, counts()[1]]}
