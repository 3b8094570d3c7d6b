"""What is left when a filesystem is unmounted."""

from __future__ import annotations

import os
import time
from typing import Any

from inside.attempts import outcome, shell
from inside.filesystem import Filesystem
from inside.images import attach, detach, loops
from inside.system import free, mounts, open_and_close, references, syncfs, umount, write


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


def loop_devices(fs: Filesystem, mount: str) -> list[Any]:
    """Mount the image with a command that makes a loop device; how many it is on then, and which after the unmount."""
    detach(fs.device)
    shell(mount)
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


def file_without_a_name(fs: Filesystem) -> int:
    """Remove a file that is open and write 8 MiB to it; how many bytes are taken after a remount that were free."""
    fs.mount()
    before = free()
    with open("gone", "wb") as file:
        os.unlink("gone")
        file.write(bytes(8 << 20))
        file.flush()
        syncfs()
    fs.remount()
    lost = before - free()
    fs.unmount()
    return lost


def after_use(fs: Filesystem) -> list[Any]:
    """Make, change and remove files and unmount: how fsck ends then, and whether it left each byte as it was."""
    fs.mount()
    for number in range(20):
        write(f"used-{number}", b"used" * 2000 * number)
    for number in range(0, 20, 2):
        os.unlink(f"used-{number}")
    write("used-3", "shorter")
    fs.unmount()
    return fs.fsck_ended()
