"""A read-only mount."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vexlab.guest.inside.attempts import outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, statistics, write

# Ways to change a filesystem that holds `file` and `empty/`.
WRITES: dict[str, Callable[[], object]] = {
    "create": lambda: os.open("new", os.O_CREAT | os.O_WRONLY),
    "open for writing": lambda: os.open("file", os.O_WRONLY),
    "append": lambda: os.open("file", os.O_WRONLY | os.O_APPEND),
    "truncate": lambda: os.truncate("file", 0),
    "unlink": lambda: os.unlink("file"),
    "mkdir": lambda: os.mkdir("new"),
    "rmdir": lambda: os.rmdir("empty"),
    "rename": lambda: os.rename("file", "new"),
    "link": lambda: os.link("file", "new"),
    "symlink": lambda: os.symlink("file", "new"),
    "mknod": lambda: os.mknod("new", stat.S_IFIFO | 0o600),
    "chmod": lambda: os.chmod("file", 0o777),
    "chown": lambda: os.chown("file", 1, 1),
    "utime": lambda: os.utime("file", (1, 1)),
    "setxattr": lambda: os.setxattr("file", "user.new", b"x"),
    "removexattr": lambda: os.removexattr("file", "user.new"),
}


def begin(fs: Filesystem) -> str:
    """Put something on it and mount it read-only; the digest of the image before that."""
    fs.mount()
    write("file", "content")
    if "directories" in fs.can:
        os.mkdir("empty")
    fs.unmount()
    before = fs.digest()
    fs.mount(fs.read_only_options)
    return before


def end(fs: Filesystem) -> str:
    """Unmount it; the digest of the image."""
    fs.unmount()
    return fs.digest()


def writes(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt to write."""
    return outcomes(WRITES)


def content(_fs: Filesystem) -> list[Any]:
    """What the file holds, and which names are there."""
    return [read("file"), [name for name in ("empty", "file", "new") if os.path.lexists(name)]]


def look_at_everything(fs: Filesystem) -> list[list[Any]]:
    """Digest of the image and sectors written to the device, before and after all is read under a mount."""

    def state() -> list[Any]:
        return [fs.digest(), statistics(fs.device)[6]]

    fs.unmount()
    before = state()
    fs.mount(fs.read_only_options)
    for path in Path().rglob("*"):
        if path.is_file():
            path.read_bytes()
    fs.unmount()
    after = state()
    fs.mount(fs.read_only_options)
    return [before, after]
