"""Devices that hold only a part of the filesystem."""

from __future__ import annotations

import fcntl
import os

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import LOOP_SET_CAPACITY, attach, discard, keep
from vexlab.guest.inside.system import mount, syncfs, umount, write


def cut(whole: str, path: str, size: int) -> str:
    """Make an image of so many bytes that holds as much of another; the device that it is on."""
    keep(whole, path)
    os.truncate(path, size)
    return attach(path)


def remove(path: str) -> None:
    """Remove an image and the devices that it is on."""
    discard(path)


def shrink_under_a_mount(fs: Filesystem, image: str, device: str, size: int) -> None:
    """Cut a device while it is mounted. Errors are right; what counts is the unmount, which has to succeed."""
    mount(device, fs.point, fs.kind, fs.options)
    os.truncate(image, size)
    with open(device, "rb") as loop:
        fcntl.ioctl(loop, LOOP_SET_CAPACITY)
    outcome(os.listdir, fs.point)
    outcome(write, f"{fs.point}/new", bytes(1 << 20))
    outcome(syncfs, fs.point)
    umount(fs.point)
