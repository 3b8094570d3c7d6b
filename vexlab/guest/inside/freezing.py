"""FIFREEZE and FITHAW: fsfreeze(8) before a snapshot of the device."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
from collections.abc import Iterator
from time import monotonic

from vexlab.guest.inside.attempts import NAMES, outcome
from vexlab.guest.inside.children import child
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, syncfs, write

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878  # linux/fs.h
GUARD_SECONDS = 30
REFUSED = ("EOPNOTSUPP", "ENOTTY")


def freeze(root: int) -> None:
    """FIFREEZE of the filesystem that a descriptor is of."""
    fcntl.ioctl(root, FIFREEZE, 0)


def thaw(root: int) -> None:
    """FITHAW of it."""
    fcntl.ioctl(root, FITHAW, 0)


def guard(root: int, over: int) -> None:
    """Thaw when the other end of a pipe is closed, when who froze is dead, or after half a minute."""
    os.setsid()
    parent, deadline = os.getppid(), monotonic() + GUARD_SECONDS
    while os.getppid() == parent and monotonic() < deadline:
        if select.select([over], [], [], 0.2)[0]:
            break
    with contextlib.suppress(OSError):
        thaw(root)


@contextlib.contextmanager
def frozen() -> Iterator[int]:
    """The filesystem that one is on, frozen; a descriptor of its root. Whatever happens, it is thawed afterwards."""
    root = os.open(".", os.O_RDONLY)
    over, end = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        try:
            os.close(end)
            guard(root, over)
        finally:
            os._exit(0)
    os.close(over)
    try:
        freeze(root)
        yield root
    finally:
        with contextlib.suppress(OSError):  # it is thawed already
            thaw(root)
        os.close(end)
        os.waitpid(watcher, 0)
        os.close(root)


def store(name: str) -> None:
    """Store a byte through a shared mapping."""
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"m"


def look(_fs: Filesystem, with_mapping: bool) -> dict[str, str]:
    """Freeze it and thaw it: what comes of what is done meanwhile, and afterwards. `freeze` alone if it is refused."""
    write("file", "before")
    write("mapped", "before")
    syncfs()
    seen = {"freeze": "done"}
    try:
        with frozen() as root:
            seen["a second freeze"] = outcome(freeze, root)
            seen["a read"] = outcome(read, "file")
            seen["statfs"] = outcome(os.statvfs, ".")
            with contextlib.ExitStack() as children:
                writer = children.enter_context(child(lambda: write("file", "after")))
                mapper = children.enter_context(child(lambda: store("mapped"))) if with_mapping else writer
                seen["a write, while it is frozen"] = writer.told(0.25)
                seen["a store through a mapping, while it is frozen"] = mapper.told(0.05)
                seen["the thaw"] = outcome(thaw, root)
                seen["the write, afterwards"] = writer.told(20)
                seen["the store, afterwards"] = mapper.told(20)
            seen["a second thaw"] = outcome(thaw, root)
    except OSError as problem:
        if seen != {"freeze": "done"}:
            raise
        return {"freeze": NAMES.get(problem.errno or 0, str(problem))}
    seen["what was written"] = read("file")
    if with_mapping:
        seen["what was stored"] = read("mapped")
    return seen
