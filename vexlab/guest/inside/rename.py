"""rename(2).

A tree is told by its names in order: `d/` is a directory, `d/f=1` a file with that content.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vexlab.guest.inside.amounts import portions, write_files
from vexlab.guest.inside.attempts import outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import free, read, syncfs, write

# What is tried in the tree `full/ full/sub/ other/ file=content`, and what may come of it.
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "into its own child": (lambda: os.rename("full", "full/sub/new"), "EINVAL"),
    "directory over one that isn't empty": (lambda: os.rename("other", "full"), "ENOTEMPTY or EEXIST"),
    "directory over a file": (lambda: os.rename("other", "file"), "ENOTDIR"),
    "file over a directory": (lambda: os.rename("file", "other"), "EISDIR"),
    "what isn't there": (lambda: os.rename("missing", "new"), "ENOENT"),
    "to where nothing is": (lambda: os.rename("file", "missing/new"), "ENOENT"),
    "onto itself": (lambda: os.rename("file", "file"), "done"),
}


def make(entries: str) -> None:
    """Make a tree."""
    for entry in entries.split():
        name, _, content = entry.partition("=")
        if name.endswith("/"):
            os.mkdir(name)
        else:
            write(name, content)


def tree() -> str:
    """The tree that is there, with names in small letters, of which all are here: not every filesystem keeps cases."""
    found = []
    for root, directories, files in os.walk("."):
        found += [f"{root}/{name}/" for name in directories]
        found += [f"{root}/{name}={read(f'{root}/{name}')}" for name in files]
    return " ".join(sorted(name.removeprefix("./").lower() for name in found))


def errors(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt, in a directory of their own."""
    os.mkdir("errors")
    os.chdir("errors")
    make("full/ full/sub/ other/ file=content")
    return outcomes({name: attempt for name, (attempt, _) in ERRORS.items()})


def tree_after_errors(_fs: Filesystem) -> str:
    """The tree in which `errors` tried."""
    os.chdir("errors")
    return tree()


def moved(fs: Filesystem, moves: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Make each move (tree before it, old name, new name) in a directory of its own; each tree after a remount."""
    places = {name: str(number) for number, name in enumerate(moves)}

    def all_of_them() -> Iterator[str]:
        for name, place in places.items():
            os.chdir(f"{fs.point}/moves/{place}")
            yield name
        os.chdir(fs.point)

    for name in moves:
        os.makedirs(f"moves/{places[name]}")
    for name in all_of_them():
        make(moves[name][0])
    syncfs()  # what a rename changes must be written for its own sake, not because what was made before is
    for name in all_of_them():
        os.rename(moves[name][1], moves[name][2])
    fs.remount()
    return {name: tree() for name in all_of_them()}


def parent_of_what_moved(fs: Filesystem) -> list[int]:
    """Move a directory: inodes of its new parent and of its `..`; link counts of the old parent and of the new one."""
    os.makedirs("from/sub")
    os.mkdir("to")
    os.rename("from/sub", "to/sub")
    fs.remount()
    inodes = [os.stat(name).st_ino for name in ("to", "to/sub/..")]
    return [*inodes, *(os.stat(name).st_nlink for name in ("from", "to"))]


def rename_an_open_file(_fs: Filesystem) -> list[Any]:
    """Rename a file that is being written: its inode before and after, and what it holds."""
    write("old", "1")
    before = os.stat("old").st_ino
    with open("old", "a") as file:
        os.rename("old", "new")
        file.write("2")
    return [before, os.stat("new").st_ino, read("new")]


def replace_big_files(fs: Filesystem) -> list[int]:
    """Rename small files over as few as have 8 MiB: how many bytes they had, and how many of them are still taken."""
    sizes = portions(fs, 8 << 20)
    small, big = ([f"{kind}{number}" for number in range(len(sizes))] for kind in ("small", "big"))
    for name in small:
        write(name, "x")
    before, total = free(), sum(sizes)
    write_files(big, sizes)
    for old, new in zip(small, big, strict=True):
        os.rename(old, new)
    left = before - free(before - total * 3 // 8, fs.room_returns_seconds if "statfs" in fs.can else 0)
    for name in big:
        os.unlink(name)
    return [total, left]
