"""The lab's own mount. Nothing is written to it here."""

from __future__ import annotations

import os

from vexlab.guest.inside.images import loops
from vexlab.guest.inside.system import read


def look(point: str) -> list[list[str]]:
    """Of each mount at a place: type, device, and `ro` or `rw` of the mount and of the filesystem itself."""
    found = []
    for line in read("/proc/self/mountinfo").splitlines():
        mount, superblock = (part.split() for part in line.split(" - "))
        if mount[4] == point:
            found.append([superblock[0], superblock[1], mount[5].split(",")[0], superblock[2].split(",")[0]])
    return found


def loops_that_are_not_mounted(image: str) -> list[str]:
    """The loop devices that an image is on, and no mount."""
    mounted = [line.split()[0] for line in read("/proc/self/mounts").splitlines()]
    return [device for device in loops(image) if device not in mounted]


def real_path(path: str) -> str:
    """Where a path leads."""
    return os.path.realpath(path)


def list_root(point: str) -> None:
    """Look at each name in a directory."""
    for entry in os.scandir(point):
        os.lstat(entry.path)
