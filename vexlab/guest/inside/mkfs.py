"""mkfs, pointed at what it must not touch."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside import second_device
from vexlab.guest.inside.attempts import ended, outcome, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import attach, discard, size_of
from vexlab.guest.inside.system import mount, read, umount, write

# What is no disk, and how it is made at a path.
NO_DISK: dict[str, Callable[[str], object]] = {
    "nothing": lambda _path: None,
    "directory": os.mkdir,
    "character device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
}


def on_what_is_no_disk(_fs: Filesystem, path: str, kind: str, mkfs: str) -> list[Any]:
    """Make one of NO_DISK and try mkfs on it: how that ended, and the letter that ls(1) has for what is there then."""
    NO_DISK[kind](path)
    try:
        done = ended(mkfs)
        return [*done, stat.filemode(os.lstat(path).st_mode)[0] if os.path.lexists(path) else "nothing"]
    finally:
        if os.path.lexists(path):
            shell('rm -r "$1"', path)


def sizes(fs: Filesystem) -> list[int]:
    """Bytes of the image and of the device that it is on."""
    return [size_of(fs.image), size_of(fs.device)]


def size_of_file(path: str) -> int:
    """Bytes of a file, by stat(2)."""
    return os.stat(path).st_size


def under_a_mount(fs: Filesystem, mkfs: str) -> list[Any]:
    """Run mkfs under a mount that is being written: how it ended, and what the files hold after a remount."""
    fs.mount()
    write("precious", "precious")
    done = ended(mkfs)
    write("more", "more")
    fs.remount()
    found = read("precious") + " " + read("more")
    fs.unmount()
    return [done, found]


def over_a_filesystem(fs: Filesystem, mkfs: str, make: str, kind: str, options: str) -> list[Any]:
    """Run mkfs on a device that carries what the command `make` makes, or with none what is there.

    How mkfs ended, whether each byte is what it was, and what came of a mount with this type and these options.
    """
    if make:
        shell(make)
    before = fs.first_digest()
    done = ended(mkfs)
    same = fs.first_digest() == before
    came = outcome(mount, fs.device, fs.point, kind, options)
    if came == "done":
        umount(fs.point)
    return [done, same, came]


def on_a_small_device(fs: Filesystem, mkfs: str, size: int) -> list[Any]:
    """Run mkfs on a device full of `x`: how it ended, and whether the device still is."""
    image = fs.image + ".small"
    write(image, "x" * size)
    device = attach(image)
    done = ended(second_device.exports(device) + mkfs)
    with open(device, "r+b") as file:
        os.fsync(file)
    same = read(image) == "x" * size
    discard(image)
    return [done, same]


def on_the_mount_point(fs: Filesystem, mkfs: str) -> list[Any]:
    """Run mkfs on the directory of a mount: how it ended, and whether the directory is what it was."""
    fs.mount()
    before = sorted(os.listdir())
    done = ended(mkfs)
    same = sorted(os.listdir()) == before
    fs.unmount()
    return [done, same]
