"""name_to_handle_at(2) and open_by_handle_at(2): how a server of NFS finds its files again."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import syncfs, write

MOST = 128  # bytes of a handle: MAX_HANDLE_SZ


class Handle(ctypes.Structure):
    """struct file_handle."""

    _fields_ = (("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * MOST))


def handle_of(path: str) -> Handle:
    """The handle of a file; raises OSError (EOPNOTSUPP where there are none)."""
    handle = Handle(bytes=MOST)
    counted("name_to_handle_at", -100, path.encode(), ctypes.byref(handle), ctypes.byref(ctypes.c_int()), 0)
    return handle


def opened(root: str, handle: Handle, flags: int = os.O_RDONLY) -> int:
    """Open a file by its handle; a descriptor."""
    around = os.open(root, os.O_RDONLY)
    try:
        return counted("open_by_handle_at", around, ctypes.byref(handle), flags)
    finally:
        os.close(around)


def leads_to(handle: Handle, path: str) -> str:
    """`right` if a handle opens the file that a path leads to; else what it opens, or the errno.

    The path comes last: who went along it has the kernel know where the file is.
    """
    descriptor = -1

    def attempt() -> None:
        nonlocal descriptor
        descriptor = opened(".", handle)

    if (came := outcome(attempt)) != "done":
        return came
    found, wanted = os.fstat(descriptor), os.stat(path)
    os.close(descriptor)
    if (found.st_ino, found.st_mode) == (wanted.st_ino, wanted.st_mode):
        return "right"
    return f"inode {found.st_ino}, and {path} is inode {wanted.st_ino}"


def opens(handle: Handle) -> str:
    """The errno with which a handle can't be opened; else which inode it leads to, and what a file holds."""
    descriptor = -1

    def attempt() -> None:
        nonlocal descriptor
        descriptor = opened(".", handle)

    if (came := outcome(attempt)) != "done":
        return came
    try:
        return f"inode {os.fstat(descriptor).st_ino}, {os.read(descriptor, 100)!r}"
    finally:
        os.close(descriptor)


def forget(fs: Filesystem) -> None:
    """Have the kernel forget what it keeps of names and inodes that nobody uses."""
    syncfs()
    os.chdir("/")
    write("/proc/sys/vm/drop_caches", "2")
    os.chdir(fs.point)


def look(fs: Filesystem) -> dict[str, str]:
    """What handles of a file and of directories lead to, each time; `handle` alone if there are none."""
    os.makedirs("directory/deeper")
    for name in ("file", "directory/deeper/inner"):
        write(name, name)
    paths = {"file": "file", "directory": "directory/deeper", "file in a directory": "directory/deeper/inner"}
    if (came := outcome(handle_of, "file")) != "done":
        return {"handle": came}
    handles = {name: handle_of(path) for name, path in paths.items()}
    seen = {f"{name}: at once": leads_to(handles[name], path) for name, path in paths.items()}
    forget(fs)
    seen |= {f"{name}: when the caches were dropped": leads_to(handles[name], path) for name, path in paths.items()}
    os.rename("file", "directory/renamed")
    os.rename("directory", "moved")
    os.mkdir("elsewhere")
    os.rename("moved/deeper", "elsewhere/deeper")
    paths = {"file": "moved/renamed", "directory": "elsewhere/deeper", "file in a directory": "elsewhere/deeper/inner"}
    seen |= {f"{name}: after a rename": leads_to(handles[name], path) for name, path in paths.items()}
    fs.remount()
    seen |= {f"{name}: after a remount": leads_to(handles[name], path) for name, path in paths.items()}
    return seen


def stale(fs: Filesystem, count: int) -> dict[str, Any]:
    """Remove files and a directory, and open them by their handles: at once, and when new files have their inodes.

    Under `again` the number of inodes that came back, with a remount between, so that the first free one is taken.
    """
    names = [f"gone-{number}" for number in range(most(fs, "files", 2 * count) // 2)]
    if outcome(handle_of, ".") != "done":
        return {}
    for name in names[1:]:
        write(name, "old")
    os.mkdir(names[0])
    syncfs()
    handles, inodes = {name: handle_of(name) for name in names}, {os.stat(name).st_ino for name in names}
    for name in names[1:]:
        os.unlink(name)
    os.rmdir(names[0])
    at_once = told(handles[name] for name in names)
    fs.remount()
    for name in names:
        write(f"new-{name}", "new")
    again = {os.stat(f"new-{name}").st_ino for name in names} & inodes
    return {"at once": at_once, "when their inodes are other files'": told(handles.values()), "again": len(again)}


def told(handles: Any) -> Sequence[str]:
    """All that comes of opening these handles."""
    return sorted({opens(handle) for handle in handles})
