"""Directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from vexlab.guest.inside.amounts import found, make, many, most
from vexlab.guest.inside.attempts import outcome, outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, syncfs, write

# What is tried in a directory that holds `full/file`, and what may come of it.
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "remove one that isn't empty": (lambda: os.rmdir("full"), "ENOTEMPTY or EEXIST"),
    "remove a file as one": (lambda: os.rmdir("full/file"), "ENOTDIR"),
    "unlink one": (lambda: os.unlink("full"), "EISDIR or EPERM"),
    "make one that exists": (lambda: os.mkdir("full"), "EEXIST"),
    "make one in what isn't there": (lambda: os.mkdir("missing/new"), "ENOENT"),
    "open one for writing": (lambda: os.open("full", os.O_WRONLY), "EISDIR"),
    "link one": (lambda: os.link("full", "second"), "EPERM"),
}


def errors(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt."""
    os.mkdir("full")
    write("full/file", "content")
    return outcomes({name: attempt for name, (attempt, _) in ERRORS.items()})


def content_left(_fs: Filesystem) -> str:
    """What the file of `errors` holds."""
    return read("full/file")


def nested(fs: Filesystem) -> list[Any]:
    """Make directories forty levels deep; what a file in the last holds after a remount, and what a removal leaves."""
    deepest = most(fs, "files", 41) - 1
    levels = ["/".join(f"level{number}" for number in range(depth)) for depth in range(1, deepest + 1)]
    for level in levels:
        os.mkdir(level)
    write(f"{levels[-1]}/file", "bottom")
    fs.remount()
    found = read(f"{levels[-1]}/file")
    os.unlink(f"{levels[-1]}/file")
    for level in reversed(levels):
        os.rmdir(level)
    return [found, os.path.exists("level0")]


def inodes_from_a_directory(fs: Filesystem, paths: Sequence[str]) -> list[int]:
    """The inodes that paths lead to from `parent`, which has a directory `child`, after a remount."""
    os.makedirs("parent/child")
    fs.remount()
    os.chdir("parent")
    return [os.stat(path).st_ino for path in paths]


def link_counts(_fs: Filesystem) -> list[int]:
    """The link count of a directory: new, with two in it and a file, with one in it, with nothing in it."""
    os.mkdir("count")
    counts = [os.stat("count").st_nlink]
    os.mkdir("count/a")
    os.mkdir("count/b")
    write("count/file", "x")
    counts.append(os.stat("count").st_nlink)
    os.rmdir("count/a")
    counts.append(os.stat("count").st_nlink)
    os.unlink("count/file")
    os.rmdir("count/b")
    counts.append(os.stat("count").st_nlink)
    os.rmdir("count")
    return counts


def name_of_a_removed_one(fs: Filesystem) -> str:
    """Remove a directory and give its name to a file; what that reads after a remount."""
    os.mkdir("once")
    syncfs()
    os.rmdir("once")
    write("once", "file")
    fs.remount()
    return read("once")


def list_many(fs: Filesystem, want: int, length: int) -> dict[str, list[str]]:
    """Make so many files with names so long in one directory, or as many as it can have.

    Their names; what is listed of them at once and after a remount.
    """
    length = most(fs, "name_bytes", length)
    names = [f"e{number:04d}-{'long' * length}"[:length] for number in range(most_entries(fs, want))]
    os.mkdir("many")
    made = many([f"many/{name}" for name in names])
    if made < len(names):
        came = outcome(make, f"many/{names[made]}")
        assert "directory_entries" not in fs.limits, (
            f"a directory of {made} entries: one more is refused with {came}, the target says "
            f"{fs.limits['directory_entries']} (vexlab_limits, directory_entries)"
        )
        found(fs, "directory_entries", made, len(names), came)
    at_once = os.listdir("many")
    fs.remount()
    return {"made": names[:made], "at once": at_once, "after a remount": os.listdir("many")}


def most_entries(fs: Filesystem, want: int) -> int:
    """How many entries of one directory a target says there can be, and how many files there is room for."""
    return min(want, int(fs.limits.get("directory_entries", want)), most(fs, "files", want + 1) - 1)


def remove_many(fs: Filesystem) -> list[Any]:
    """Remove every other file of `list_many`.

    What should be left; what is listed after a remount; and whether the directory is left when all were removed.
    """
    names = sorted(os.listdir("many"))
    for name in names[::2]:
        os.unlink(f"many/{name}")
    fs.remount()
    left = os.listdir("many")
    for name in left:
        os.unlink(f"many/{name}")
    os.rmdir("many")
    return [names[1::2], sorted(left), os.path.exists("many")]
