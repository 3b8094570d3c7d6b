"""mount -o remount."""

from __future__ import annotations

import os
from typing import Any

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import mount, open_and_close, read, write


def change(fs: Filesystem, options: str) -> str:
    """Remount with these options; the first that the filesystem itself has then, not only the mount of it."""
    mount(fs.device, fs.point, fs.kind, f"remount,{options}")
    fields = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
    return [line[-1] for line in fields if line[4] == fs.point][-1].split(",")[0]


def read_only_and_back(fs: Filesystem) -> list[str]:
    """Remount read-only and back: the mode of each, what comes of writes in between, and what a file holds."""
    write("file", "before ")
    found = [change(fs, fs.read_only_options)]
    found += [outcome(open_and_close, "file", os.O_WRONLY), outcome(os.mkdir, "d"), read("file")]
    found += [change(fs, fs.options)]
    write("file", "after", "a")
    fs.remount()
    return [*found, read("file")]


def become_read_only(fs: Filesystem) -> list[Any]:
    """Write, remount read-only and unmount: the image's digest after each of the two, and what a file holds then."""
    write("dirty", "dirty")
    change(fs, fs.read_only_options)
    before = fs.digest()
    fs.unmount()
    after = fs.digest()
    fs.mount(fs.read_only_options)
    found = read("dirty")
    fs.remount()
    return [before, after, found]


def with_an_unknown_option(fs: Filesystem) -> list[str]:
    """What comes of a remount with an option that nobody knows, and of a write afterwards."""
    came = outcome(change, fs, f"{fs.options},vexlab-no-such-option")
    return [came, outcome(write, "unknown", "on")]


def with_an_open_file(fs: Filesystem) -> list[str]:
    """What comes of a remount read-only while a file is open for writing, and of a write afterwards."""
    with open("writing", "w"):
        refused = outcome(change, fs, fs.read_only_options)
    return [refused, outcome(write, "writing", "on")]
