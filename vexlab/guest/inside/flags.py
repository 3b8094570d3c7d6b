"""The flags that chattr(1) sets: immutable, and append only."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable

from vexlab.guest.inside.attempts import outcome, outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import write

GET, SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
IMMUTABLE, APPEND = 0x10, 0x20
REFUSED = ("ENOTTY", "EOPNOTSUPP", "EINVAL", "ENOSYS")

# What is tried on a file with a flag, and what must come of it: ioctl_iflags(2).
TRIES: dict[str, tuple[int, Callable[[], object], str]] = {
    "immutable: open for writing": (IMMUTABLE, lambda: os.open("immutable", os.O_WRONLY), "EPERM"),
    "immutable: unlink": (IMMUTABLE, lambda: os.unlink("immutable"), "EPERM"),
    "immutable: rename": (IMMUTABLE, lambda: os.rename("immutable", "other"), "EPERM"),
    "immutable: chmod": (IMMUTABLE, lambda: os.chmod("immutable", 0o600), "EPERM"),
    "append only: open for writing": (APPEND, lambda: os.open("append", os.O_WRONLY), "EPERM"),
    "append only: truncate": (APPEND, lambda: os.truncate("append", 0), "EPERM"),
    "append only: unlink": (APPEND, lambda: os.unlink("append"), "EPERM"),
    "append only: append": (APPEND, lambda: write("append", "y", "a"), "done"),
}


def flags(name: str) -> int:
    """FS_IOC_GETFLAGS."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        return int(struct.unpack("i", fcntl.ioctl(descriptor, GET, bytes(4)))[0])
    finally:
        os.close(descriptor)


def change(name: str, flag: int, there: bool) -> None:
    """FS_IOC_SETFLAGS of a flag beside those that are there."""
    now = flags(name)
    descriptor = os.open(name, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SET, struct.pack("i", now | flag if there else now & ~flag))
    finally:
        os.close(descriptor)


def look(fs: Filesystem) -> dict[str, str]:
    """Set the flags, on a file each: what came of that, of each of TRIES, and whether the flags are kept.

    The flags are gone afterwards, so that the files can be.
    """
    seen = {}
    names = {"immutable": IMMUTABLE, "append": APPEND}
    for name, flag in names.items():
        write(name, "x")
        seen[f"{name}: set"] = outcome(change, name, flag, True)
    taken = [flag for name, flag in names.items() if seen[f"{name}: set"] == "done"]
    try:
        if taken:
            fs.remount()
        for name, flag in names.items():
            if flag in taken:
                seen[f"{name}: kept"] = "yes" if flags(name) & flag else "no"
        seen |= outcomes({name: attempt for name, (flag, attempt, _) in TRIES.items() if flag in taken})
    finally:
        for name, flag in names.items():
            if flag in taken and os.path.exists(name):
                change(name, flag, False)
    return seen
