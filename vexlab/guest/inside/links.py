"""Hard and symbolic links."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vexlab.guest.inside.amounts import most, refusal, room
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, syncfs, write


def three_names(fs: Filesystem) -> list[Any]:
    """Give a file three names in two directories, write to the second; inodes, link counts, what the third reads."""
    os.mkdir("dir")
    write("first", "one ")
    os.link("first", "second")
    os.link("first", "dir/third")
    write("second", "two", "a")
    fs.remount()
    inodes = {os.stat(name).st_ino for name in ("first", "second", "dir/third")}
    counts = {os.stat(name).st_nlink for name in ("first", "second", "dir/third")}
    content = read("dir/third")
    for name in ("first", "second", "dir/third"):
        os.unlink(name)
    return [len(inodes), sorted(counts), content]


def last_name(fs: Filesystem) -> list[Any]:
    """Remove the first name of two: link count and content by the second, and whether that can be removed too."""
    write("a", "kept")
    os.link("a", "b")
    os.unlink("a")
    write("other", bytes(most(fs, "file_bytes", min(1 << 20, room()))))
    fs.remount()
    found = [os.stat("b").st_nlink, read("b")]
    os.unlink("b")
    os.unlink("other")
    return [*found, os.path.exists("b")]


def link_over_a_name(_fs: Filesystem) -> list[str]:
    """What comes of a link over a name that is there, and of one to nothing; what the name leads to then."""
    write("x", "x")
    write("y", "y")
    return [outcome(os.link, "x", "y"), outcome(os.link, "missing", "z"), read("y")]


def symbolic_links(fs: Filesystem, targets: Mapping[str, str]) -> dict[str, dict[str, list[Any]]]:
    """Make links with these names and targets; size and target of each after a remount.

    Of those that were refused, what `refusal` says.
    """
    refused: dict[str, list[Any]] = {}
    for name, target in targets.items():
        try:
            os.symlink(target, name)
        except OSError as problem:
            what = f"symlink of {len(target)} bytes"
            refused[name] = list(refusal(fs, "symbolic_link_bytes", len(target), what, problem))
    fs.remount()
    made = [name for name in targets if name not in refused]
    seen = {name: [os.lstat(name).st_size, os.readlink(name)] for name in made}
    for name in made:
        os.unlink(name)
    return {"refused": refused, "read": seen}


def follow(fs: Filesystem) -> list[str]:
    """What reads through a link to a file and one to a directory; where one to nowhere leads, and what it comes to."""
    os.mkdir("real")
    write("real/file", "content")
    os.symlink("real/file", "s")
    os.symlink("real", "d")
    os.symlink("nowhere", "n")
    fs.remount()
    return [read("s"), read("d/file"), os.readlink("n"), outcome(os.stat, "n")]


def ring(_fs: Filesystem) -> str:
    """What comes of following a link to itself."""
    os.symlink("ring", "ring")
    return outcome(os.stat, "ring")


def remove_a_link(fs: Filesystem) -> list[Any]:
    """Remove a link: whether it is there after a remount, and what its target holds."""
    write("target", "kept")
    os.symlink("target", "link")
    syncfs()
    os.unlink("link")
    fs.remount()
    return [os.path.lexists("link"), read("target")]
