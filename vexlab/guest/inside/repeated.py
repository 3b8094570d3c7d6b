"""Each call in thousands, on many files and directories: what one call forgets to give back adds up."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import write

PLACES = 120  # directories, each with a block of its own: a slab holds 39 buffers, and is counted as full or not
TIMES = 2  # that each call is made in each
LEAST = 40  # of what is kept in each directory, that must be seen in the count of a slab cache


class Call(NamedTuple):
    """A call in a directory that holds `file`, `link` and `inhabited/file`, and what a target must claim for it."""

    do: Callable[[], object]
    capabilities: tuple[str, ...] = ()


def listed() -> None:
    """Open, list and close."""
    os.listdir(".")


def read_file() -> None:
    """Open, read and close."""
    with open("file", "rb") as file:
        file.read()


def write_file() -> None:
    """Write over what is there."""
    with open("file", "r+b", buffering=0) as file:
        file.write(b"y" * 100)


def load() -> None:
    """Map, load and unmap."""
    with open("file", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        memory[0:1]


def both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    """One after the other."""

    def do() -> None:
        first()
        second()

    return do


def fifo() -> None:
    """Make a FIFO, if there are any, and remove it."""
    if outcome(os.mkfifo, "new") == "done":
        os.unlink("new")


def fails(function: Callable[..., object], *arguments: object) -> Callable[[], None]:
    """A call that is refused."""

    def do() -> None:
        came = outcome(function, *arguments)
        assert came != "done", f"{function.__name__}{arguments} was done"

    return do


CALLS: dict[str, Call] = {
    "open, read": Call(read_file),
    "write": Call(write_file),
    "stat": Call(lambda: os.stat("file")),
    "stat of what isn't there": Call(fails(os.stat, "missing")),
    "open of what isn't there": Call(fails(os.open, "missing", os.O_RDONLY)),
    "stat through a file": Call(fails(os.stat, "file/missing")),
    "readdir": Call(listed),
    "statfs": Call(lambda: os.statvfs(".")),
    "getxattr of what isn't there": Call(fails(os.getxattr, "file", "user.missing")),
    "create over a name": Call(fails(os.open, "file", os.O_CREAT | os.O_EXCL)),
    "create and unlink": Call(both(lambda: write("new", "x"), lambda: os.unlink("new"))),
    "chmod": Call(lambda: os.chmod("file", 0o644), ("permissions",)),
    "utimes": Call(lambda: os.utime("file", (1, 1)), ("timestamps",)),
    "truncate": Call(both(lambda: os.truncate("file", 100), lambda: os.truncate("file", 5000)), ("truncate",)),
    "mmap": Call(load, ("mmap",)),
    "readlink": Call(lambda: os.readlink("link"), ("symbolic-links",)),
    "stat through a link": Call(lambda: os.stat("link"), ("symbolic-links",)),
    "symlink and unlink": Call(
        both(lambda: os.symlink("x" * 30, "new"), lambda: os.unlink("new")), ("symbolic-links",)
    ),
    "symlink over a name": Call(fails(os.symlink, "x", "file"), ("symbolic-links",)),
    "link and unlink": Call(both(lambda: os.link("file", "new"), lambda: os.unlink("new")), ("hard-links",)),
    "link over a name": Call(fails(os.link, "file", "inhabited"), ("hard-links",)),
    "rename and back": Call(both(lambda: os.rename("file", "new"), lambda: os.rename("new", "file")), ("rename",)),
    "rename over an inhabited directory": Call(fails(os.rename, "other", "inhabited"), ("rename",)),
    "mkdir and rmdir": Call(both(lambda: os.mkdir("new"), lambda: os.rmdir("new"))),
    "mkdir over a name": Call(fails(os.mkdir, "inhabited")),
    "rmdir of an inhabited directory": Call(fails(os.rmdir, "inhabited")),
    "unlink of a directory": Call(fails(os.unlink, "inhabited")),
    "mkfifo and unlink": Call(fifo),
}  # fmt: skip


def claimed(can: Sequence[str]) -> list[str]:
    """The calls of what a target claims."""
    return [name for name, call in CALLS.items() if set(call.capabilities) <= set(can)]


def plant(fs: Filesystem, can: Sequence[str]) -> None:
    """Make the directories, as many as there can be."""
    count = min(most(fs, "directory_entries", PLACES), most(fs, "files", 7 * PLACES) // 7)
    for number in range(count):
        os.makedirs(f"place-{number}/inhabited")
        os.mkdir(f"place-{number}/other")
        write(f"place-{number}/inhabited/file", "x")
        write(f"place-{number}/file", "x" * 5000)
        if "symbolic-links" in can:
            os.symlink("file", f"place-{number}/link")


def turn(fs: Filesystem, chosen: Sequence[str], can: Sequence[str]) -> None:
    """Mount it, make each of these calls in each directory, and unmount it."""
    fs.mount()
    if not os.path.exists("place-0"):
        plant(fs, can)
    for place in sorted(name for name in os.listdir(".") if name.startswith("place-")):
        os.chdir(f"{fs.point}/{place}")
        for name in chosen:
            for _ in range(TIMES):
                CALLS[name].do()
    fs.unmount()
