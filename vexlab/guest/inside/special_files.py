"""Device nodes, FIFOs and sockets."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem

# What mknod(2) is called with, and what it has to be afterwards.
NODES: dict[str, tuple[int, int]] = {
    "FIFO": (stat.S_IFIFO | 0o640, 0),
    "socket": (stat.S_IFSOCK | 0o600, 0),
    "character device 1:3": (stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "block device 259:70000": (stat.S_IFBLK | 0o600, os.makedev(259, 70000)),
    "character device 4095:1048575": (stat.S_IFCHR | 0o600, os.makedev(4095, 1048575)),
}


FILES = {name: f"node-{number}" for number, name in enumerate(NODES)}


def make(fs: Filesystem) -> dict[str, list[Any]]:
    """Make each of NODES: what came of it, and mode and device number at once and after a remount if it is there."""
    before = os.umask(0)
    try:
        seen: dict[str, list[Any]] = {
            name: [outcome(os.mknod, FILES[name], mode, device)] for name, (mode, device) in NODES.items()
        }
    finally:
        os.umask(before)

    def look() -> None:
        for name, found in seen.items():
            if found[0] == "done":
                now = os.lstat(FILES[name])
                found.append([now.st_mode, now.st_rdev])

    look()
    fs.remount()
    look()
    return seen


def use(_fs: Filesystem) -> dict[str, str]:
    """What goes through a FIFO, through a socket that was bound to a name, and what /dev/null's number reads."""
    seen = {}
    if os.path.lexists(FILES["FIFO"]):
        pipe = os.open(FILES["FIFO"], os.O_RDWR | os.O_NONBLOCK)
        os.write(pipe, b"through")
        seen["FIFO"] = os.read(pipe, 100).decode()
        os.close(pipe)
    if os.path.lexists(FILES["character device 1:3"]):
        null = os.open(FILES["character device 1:3"], os.O_RDWR)
        seen["character device 1:3"] = f"{os.write(null, b'x')} byte written, {len(os.read(null, 1))} read"
        os.close(null)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        came = outcome(server.bind, "bound")
        if came == "done":
            server.listen()
            client.connect("bound")
            client.sendall(b"through")
            connected, _ = server.accept()
            with connected:
                came = connected.recv(100).decode()
        seen["a name that a socket was bound to"] = came
    return seen
