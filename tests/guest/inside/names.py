"""Names of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from inside.attempts import outcome
from inside.filesystem import Filesystem
from inside.system import read, write


def listing(fs: Filesystem, names: Sequence[str]) -> list[list[str]]:
    """Make a file of each name that holds its name; what is listed after a remount, each with what it holds."""
    os.mkdir("names")
    for name in names:
        write(f"names/{name}", name)
    fs.remount()
    return [[name, read(f"names/{name}")] for name in os.listdir("names")]


def longest(fs: Filesystem) -> list[Any]:
    """Make a file whose name is as long as statfs says that names may be.

    What it holds after a remount, and by how much the names that begin like it are longer than it is.
    """
    length = os.statvfs(".").f_namemax
    assert length >= 14, "statfs says that names are shorter than POSIX allows"
    name = "n" * length
    write(name, "long")
    fs.remount()
    return [read(name), [len(found) - length for found in os.listdir() if found.startswith("nnn")]]


def longer(_fs: Filesystem) -> list[Any]:
    """What comes of making a file with a longer name and of looking for it, and which names begin like it."""
    name = "m" * (os.statvfs(".").f_namemax + 1)
    came = [outcome(os.open, name, os.O_CREAT), outcome(os.stat, name)]
    return [*came, [found for found in os.listdir() if found.startswith("mmm")]]
