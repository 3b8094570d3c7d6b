"""Room and inodes, before and after: what calls that fail, or that take back what others did, leave behind.

Counted by statfs(2), after a sync; what is given back late is waited for.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import NamedTuple

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import syncfs, write


class Turn(NamedTuple):
    """Something that changes nothing in the end, and what a target must claim that can do it."""

    do: Callable[[], object]
    capabilities: tuple[str, ...] = ()


def make_and_remove(data: bytes) -> Callable[[], None]:
    """What makes a file that holds this, and removes it."""

    def do() -> None:
        write("turn", data)
        os.unlink("turn")

    return do


def write_far_away() -> None:
    """Write one byte far behind the end of a file, which takes blocks of pointers as well, and remove it."""
    with open("turn", "wb") as file:
        file.seek(6 << 20)
        file.write(b"x")
    os.unlink("turn")


def write_and_cut() -> None:
    """Write a file, cut it to nothing, and leave it."""
    write("cut", bytes(20000))
    os.truncate("cut", 0)


def store_and_remove() -> None:
    """Store into a hole through a mapping, and remove the file."""
    with open("turn", "w+b") as file:
        file.truncate(20000)
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[9000] = 1
    os.unlink("turn")


def remove_while_open() -> None:
    """Remove a file that is open, and write to it."""
    with open("turn", "wb") as file:
        os.unlink("turn")
        file.write(bytes(9000))


def make_directory() -> None:
    """Make a directory with a file in it, and remove both."""
    os.mkdir("turn")
    write("turn/file", "x")
    os.unlink("turn/file")
    os.rmdir("turn")


def make_link(target: str) -> Callable[[], None]:
    """What makes a symbolic link, if there are such, and removes it."""

    def do() -> None:
        if outcome(os.symlink, target, "turn") == "done":  # else it is longer than one may be
            os.unlink("turn")

    return do


def link_and_unlink() -> None:
    """Give a file a second name, and take that away."""
    os.link("file", "turn")
    os.unlink("turn")


def rename_over() -> None:
    """Make two files, and rename one over the other, which goes."""
    write("turn", bytes(5000))
    write("turn-too", bytes(5000))
    os.rename("turn", "turn-too")
    os.unlink("turn-too")


def rename_over_directory() -> None:
    """Rename a directory over an empty one, which goes."""
    os.mkdir("turn")
    os.mkdir("turn-too")
    os.rename("turn", "turn-too")
    os.rmdir("turn-too")


def set_and_remove_attribute() -> None:
    """Set an attribute that may need a block of its own, and remove it."""
    os.setxattr("file", "user.turn", b"x" * 400)
    os.removexattr("file", "user.turn")


def remove_with_attribute() -> None:
    """Remove a file with an attribute."""
    write("turn", "x")
    os.setxattr("turn", "user.turn", b"x" * 400)
    os.unlink("turn")


def make_fifo() -> None:
    """Make a FIFO, if there are any, and remove it."""
    if outcome(os.mkfifo, "turn") == "done":
        os.unlink("turn")


TAKEN_BACK: dict[str, Turn] = {
    "an empty file made and removed": Turn(make_and_remove(b"")),
    "a file of 20,000 bytes written and removed": Turn(make_and_remove(bytes(20000))),
    "a byte written at 6 MiB, and the file removed": Turn(write_far_away, ("sparse-files",)),
    "a file written and cut to nothing": Turn(write_and_cut, ("truncate",)),
    "a hole stored into through a mapping, and the file removed": Turn(store_and_remove, ("mmap", "truncate")),
    "a file removed while it is open, and written to": Turn(remove_while_open),
    "a directory made and removed": Turn(make_directory, ("directories",)),
    "a symbolic link of 10 bytes made and removed": Turn(make_link("x" * 10), ("symbolic-links",)),
    "a symbolic link of 300 bytes made and removed": Turn(make_link("x" * 300), ("symbolic-links",)),
    "a link made and removed": Turn(link_and_unlink, ("hard-links",)),
    "a file renamed over another": Turn(rename_over, ("rename",)),
    "a directory renamed over another": Turn(rename_over_directory, ("rename", "directories")),
    "an attribute set and removed": Turn(set_and_remove_attribute, ("xattrs",)),
    "a file with an attribute removed": Turn(remove_with_attribute, ("xattrs",)),
    "a FIFO made and removed": Turn(make_fifo),
}


def fails(allowed: str, function: Callable[..., object], *arguments: object) -> Callable[[], None]:
    """A call that must be refused, with an error of these."""

    def do() -> None:
        came = outcome(function, *arguments)
        assert came in allowed.split(" or "), f"{function.__name__}{arguments}: expected {allowed}, came {came}"

    return do


def too_long(function: Callable[..., object], *before: object) -> Callable[[], None]:
    """A call whose last argument is a name that is longer than statfs says that one may be."""

    def do() -> None:
        name = "l" * (os.statvfs(".").f_namemax + 1)
        fails("ENAMETOOLONG", function, *before, name)()

    return do


REFUSED: dict[str, Turn] = {
    "create over a name": Turn(fails("EEXIST", os.open, "file", os.O_CREAT | os.O_EXCL)),
    "mkdir over a name": Turn(fails("EEXIST", os.mkdir, "file"), ("directories",)),
    "symlink over a name": Turn(fails("EEXIST", os.symlink, "x" * 300, "file"), ("symbolic-links",)),
    "link over a name": Turn(fails("EEXIST", os.link, "file", "other"), ("hard-links",)),
    "link of a directory": Turn(fails("EPERM", os.link, "full", "turn"), ("hard-links", "directories")),
    "create of a name that is too long": Turn(too_long(os.mknod)),
    "mkdir of a name that is too long": Turn(too_long(os.mkdir), ("directories",)),
    "symlink of a name that is too long": Turn(too_long(os.symlink, "x"), ("symbolic-links",)),
    "link to a name that is too long": Turn(too_long(os.link, "file"), ("hard-links",)),
    "rename to a name that is too long": Turn(too_long(os.rename, "file"), ("rename",)),
    "rename of what isn't there": Turn(fails("ENOENT", os.rename, "missing", "other"), ("rename",)),
    "rename over a directory that isn't empty": Turn(
        fails("ENOTEMPTY or EEXIST", os.rename, "empty", "full"), ("rename", "directories")
    ),
    "rename of a directory into itself": Turn(
        fails("EINVAL", os.rename, "full", "full/turn"), ("rename", "directories")
    ),
    "rmdir of a directory that isn't empty": Turn(fails("ENOTEMPTY or EEXIST", os.rmdir, "full"), ("directories",)),
    "unlink of a directory": Turn(fails("EISDIR or EPERM", os.unlink, "full"), ("directories",)),
    "truncate to a negative length": Turn(fails("EINVAL", os.truncate, "file", -1), ("truncate",)),
    "setxattr over a name": Turn(
        fails("EEXIST", os.setxattr, "file", "user.there", b"x" * 400, os.XATTR_CREATE), ("xattrs",)
    ),
}  # fmt: skip


def counts() -> list[int]:
    """Free bytes and free inodes, all written; 0 inodes where they aren't counted."""
    syncfs()
    seen = os.statvfs(".")
    return [seen.f_bfree * seen.f_frsize, seen.f_ffree if seen.f_files else 0]


def lost(before: Sequence[int], limits: Sequence[int], patience: float) -> list[int]:
    """How many bytes and inodes fewer are free than before; waited for while one of them is at its limit or beyond."""
    deadline = monotonic() + patience
    while True:
        missing = [old - new for old, new in zip(before, counts(), strict=True)]
        if all(count < limit for count, limit in zip(missing, limits, strict=True)) or monotonic() > deadline:
            return missing
        sleep(0.05)


def prepare(can: Sequence[str]) -> None:
    """Make what the turns need, and let each of their places be there."""
    write("file", "content")
    write("other", "content")
    if "directories" in can:
        os.makedirs("empty")
        os.makedirs("full/inner")
    if "xattrs" in can:
        os.setxattr("file", "user.there", b"x")


def turns(table: dict[str, Turn], can: Sequence[str]) -> dict[str, Callable[[], object]]:
    """Those of a table that a target claims."""
    return {name: turn.do for name, turn in table.items() if set(turn.capabilities) <= set(can)}


def drift(chosen: Sequence[Callable[[], object]], times: int, patience: float) -> tuple[list[int], bool]:
    """Do each of these so often: bytes and inodes that are lost, and whether each time could have lost, or won, one."""
    limits = [times // 2 * os.statvfs(".").f_frsize, max(1, times // 2)]
    before = counts()
    for do in chosen:
        for _ in range(times):
            do()
    missing = lost(before, limits, patience)
    return missing, any(abs(count) >= limit for count, limit in zip(missing, limits, strict=True))


def leaks(fs: Filesystem, table: str, can: Sequence[str], times: int) -> dict[str, list[int]]:
    """Do all of a table so often: for each that loses or gains some, how many bytes and inodes in each of two turns.

    They are told apart only when all together lose some. What is taken once, or now and then, doesn't count.
    """
    if not os.path.exists("file"):
        prepare(can)
    chosen = turns({"taken back": TAKEN_BACK, "refused": REFUSED}[table], can)
    for name, do in list(chosen.items()):
        if outcome(do) in ("EFBIG", "ENAMETOOLONG", "EMLINK"):  # beyond a limit of this filesystem
            del chosen[name]
            for left in ("turn", "turn-too"):
                outcome(os.unlink, left)
    if not drift(list(chosen.values()), times, fs.room_returns_seconds)[1]:
        return {}
    found = {}
    for name, do in chosen.items():
        seen = [drift([do], times, 3.0) for _ in range(2)]  # all that is late has come by now
        if all(leaking for _, leaking in seen):
            found[name] = [number for missing, _ in seen for number in missing]
    return found
