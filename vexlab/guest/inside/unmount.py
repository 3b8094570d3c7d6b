"""What is left when a filesystem is unmounted."""

from __future__ import annotations

import os
import time
from typing import Any

from vexlab.guest.inside.amounts import SPARE, most, portions
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import attach, detach, loops
from vexlab.guest.inside.modules import mount_image
from vexlab.guest.inside.system import free, mounts, open_and_close, put, references, syncfs, umount, write


def use_counts(fs: Filesystem, module: str) -> list[int]:
    """How many uses the kernel counts of the module before, during and after a mount."""
    before = references(module)
    fs.mount()
    during = references(module)
    fs.unmount()
    return [before, during, references(module)]


def device_in_use(fs: Filesystem) -> list[str]:
    """What comes of opening the device exclusively, during a mount and after it."""
    fs.mount()
    during = outcome(open_and_close, fs.device, os.O_RDWR | os.O_EXCL)
    fs.unmount()
    return [during, outcome(open_and_close, fs.device, os.O_RDWR | os.O_EXCL)]


def loop_devices(fs: Filesystem) -> list[Any]:
    """Mount the image on a loop device that goes with the mount, as `mount -o loop` does.

    How many it is on then, and which after the unmount.
    """
    detach(fs.device)
    mount_image(fs.image, fs.point, fs.kind, fs.options)
    during = len(loops(fs.image))
    os.chdir("/")
    umount(fs.point)
    deadline = time.monotonic() + 10  # the kernel frees it when udev, which looks at each device, has closed it too
    while loops(fs.image) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [during, loops(fs.image)]


def attach_again(fs: Filesystem) -> str:
    """Put the image on a loop device again; returns that."""
    return attach(fs.image)


def mount_point(fs: Filesystem) -> list[list[Any]]:
    """What is in the mount point and what is mounted there after an unmount."""
    fs.mount()
    fs.unmount()
    return [os.listdir(fs.point), mounts(fs.point)]


def with_an_open_file(fs: Filesystem) -> list[str]:
    """What comes of an unmount while a file is open; of a write when it was closed, and of an unmount then."""
    fs.mount()
    os.chdir("/")
    name = f"{fs.point}/open"
    with open(name, "w"):
        refused = outcome(umount, fs.point)
    return [refused, outcome(write, name, "on"), outcome(umount, fs.point)]


def files_without_a_name(fs: Filesystem) -> list[int]:
    """Remove open files and write 8 MiB to as few as can have that.

    How many bytes were written, and how many are taken after a remount that were free before.
    """
    fs.mount()
    sizes = portions(fs, 8 << 20)
    before, descriptors = free(), list[int]()
    for number, size in enumerate(sizes):
        descriptor = os.open(f"gone{number}", os.O_CREAT | os.O_WRONLY)
        os.unlink(f"gone{number}")
        for place in range(0, size, 1 << 20):
            put(descriptor, bytes(min(1 << 20, size - place)))
        descriptors.append(descriptor)
    syncfs()
    for descriptor in descriptors:
        os.close(descriptor)
    fs.remount()
    lost = before - free(before - sum(sizes) // 2, fs.room_returns_seconds if "statfs" in fs.can else 0)
    fs.unmount()
    return [sum(sizes), lost]


def after_use(fs: Filesystem) -> list[Any]:
    """Make, change and remove files and unmount: how fsck ends then, and whether it left each byte as it was."""
    fs.mount()
    count = most(fs, "directory_entries", 20 + SPARE) - SPARE
    largest = most(fs, "file_bytes", 8000 * count)
    for number in range(count):
        write(f"used-{number}", (b"used" * 2000 * number)[:largest])
    for number in range(0, count, 2):
        os.unlink(f"used-{number}")
    write("used-3", "shorter")
    fs.unmount()
    return fs.fsck_ended()
