"""inotify(7): who watches a directory is told what happens in it."""

from __future__ import annotations

import os
import struct

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import write

EVENTS = {
    0x2: "modified", 0x4: "attributes changed", 0x8: "closed after a write", 0x40: "moved from", 0x80: "moved to",
    0x100: "created", 0x200: "deleted", 0x40000000: "directory",
}  # fmt: skip
HEADER = struct.Struct("iIII")
WATCHED = ["created new", "modified new", "closed after a write new", "attributes changed new", "moved from new",
           "moved to renamed", "created directory sub", "deleted directory sub", "deleted renamed"]  # fmt: skip


def look(_fs: Filesystem) -> list[str]:
    """Make, write, change, rename and remove things in a directory: what its watcher is told, in that order."""
    os.mkdir("watched")
    watcher = counted("inotify_init1", os.O_NONBLOCK)
    try:
        counted("inotify_add_watch", watcher, b"watched", 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200)
        write("watched/new", "x")
        os.chmod("watched/new", 0o600)
        os.rename("watched/new", "watched/renamed")
        os.mkdir("watched/sub")
        os.rmdir("watched/sub")
        os.unlink("watched/renamed")
        told, place, found = os.read(watcher, 65536), 0, []
    finally:
        os.close(watcher)
    while place < len(told):
        _, mask, _, length = HEADER.unpack_from(told, place)
        name = told[place + HEADER.size : place + HEADER.size + length].rstrip(b"\0").decode()
        words = [word for bit, word in EVENTS.items() if mask & bit]
        found.append(" ".join([*words, name]))
        place += HEADER.size + length
    return found
