"""Directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from inside.attempts import outcomes
from inside.filesystem import Filesystem
from inside.system import read, syncfs, write

# What is tried in a directory that holds `full/file`, and what may come of it.
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "remove one that isn't empty": (lambda: os.rmdir("full"), "ENOTEMPTY"),
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
    levels = ["/".join(f"level{number}" for number in range(depth)) for depth in range(1, 41)]
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
    return [*counts, os.stat("count").st_nlink]


def name_of_a_removed_one(fs: Filesystem) -> str:
    """Remove a directory and give its name to a file; what that reads after a remount."""
    os.mkdir("once")
    syncfs()
    os.rmdir("once")
    write("once", "file")
    fs.remount()
    return read("once")


def list_many(fs: Filesystem, names: Sequence[str]) -> dict[str, list[str]]:
    """Make so many files in one directory; what is listed at once and after a remount."""
    os.mkdir("many")
    for name in names:
        os.close(os.open(f"many/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    at_once = os.listdir("many")
    fs.remount()
    return {"at once": at_once, "after a remount": os.listdir("many")}


def remove_many(fs: Filesystem, first: Sequence[str]) -> list[Any]:
    """Remove these of `list_many`, then what is listed after a remount, sorted; and whether the directory is left."""
    for name in first:
        os.unlink(f"many/{name}")
    fs.remount()
    left = os.listdir("many")
    for name in left:
        os.unlink(f"many/{name}")
    os.rmdir("many")
    return [sorted(left), os.path.exists("many")]
