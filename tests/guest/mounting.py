"""Runs in the guest, as a module that the checks' programs can import: mount(2) and umount(2) without programs.

mount(8) takes ten times as long in an emulated guest, and hides the errno. agent.py is handed this at its start.
"""

from __future__ import annotations

import ctypes
import errno

# What mount(8) would make of options that are the VFS's own; the rest is for the filesystem.
VFS_OPTIONS = {"rw": 0, "defaults": 0, "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "dirsync": 128,
               "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21, "strictatime": 1 << 24}  # fmt: skip
REMOUNT = 32

libc = ctypes.CDLL(None, use_errno=True)


def outcome_of(result: int) -> str:
    """`done`, or the name of the errno of the system call that returned this."""
    if result == 0:
        return "done"
    number = ctypes.get_errno()
    return errno.errorcode.get(number, f"errno {number}")


def mount(device: str, point: str, kind: str, options: str, flags: int = 0) -> str:
    """mount(2), with the options as mount(8) takes them."""
    rest = []
    for option in options.split(","):
        if option in VFS_OPTIONS:
            flags |= VFS_OPTIONS[option]
        else:
            rest.append(option)
    data = ",".join(rest).encode()
    return outcome_of(libc.mount(device.encode(), point.encode(), kind.encode(), ctypes.c_ulong(flags), data))


def unmount(point: str) -> str:
    """umount(2)."""
    return outcome_of(libc.umount2(point.encode(), 0))


def sync(descriptor: int) -> str:
    """syncfs(2): sync(2) would also write out the guest's own disk."""
    return outcome_of(libc.syncfs(descriptor))


def references(module: str) -> int:
    """How many uses the kernel counts of the module."""
    with open(f"/sys/module/{module}/refcnt") as file:
        return int(file.read())
