"""When the memory of inodes is given back, seen through the kernel's tracing."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.holdings import slab_caches
from vexlab.guest.inside.system import mount, registered, umount, write

# The process, flags of which the third tells of an interrupt, and the cache: Documentation/trace/ftrace.rst
LINE = re.compile(r"-(\d+) +\[\d+\] +(\S+) .* name=(\S+)")
PATIENCE = 5.0  # seconds, for a grace period


@contextlib.contextmanager
def traced(event: str, only: str) -> Iterator[Path]:
    """A tracing instance of its own, which records an event as far as it passes a filter; the file that has it."""
    where = Path(f"/run/vexlab-tracing-{os.getpid()}")
    where.mkdir()
    mount("tracefs", str(where), "tracefs")
    try:
        instance = where / "instances" / "vexlab"
        instance.mkdir()
        try:
            (instance / "events" / event / "filter").write_text(only)
            (instance / "events" / event / "enable").write_text("1")
            yield instance / "trace"
            (instance / "events" / event / "enable").write_text("0")
        finally:
            instance.rmdir()
    finally:
        umount(str(where))
        where.rmdir()


def inodes_freed(_fs: Filesystem, count: int) -> dict[str, list[int]]:
    """Make so many files and remove them: of each cache of inodes, how many were freed, and how many of these at once.

    Nothing in a kernel that can't be traced. A cache of inodes is one that is called so, of objects that have room for
    a `struct inode`. Freed at once is what this process itself gave back, and not an interrupt after the grace period.
    """
    if not registered("tracefs"):
        return {}
    caches = slab_caches()
    least = caches["inode_cache"][1]
    large = {name for name, (_, size, _) in caches.items() if size >= least and "inode" in name}
    with traced("kmem/kmem_cache_free", 'name ~ "*inode*"') as trace:
        for number in range(count):
            write(f"freed-{number}", "x")
        for number in range(count):
            os.unlink(f"freed-{number}")
        deadline = monotonic() + PATIENCE
        while len(found := LINE.findall(trace.read_text())) < count and monotonic() < deadline:
            sleep(0.05)
    all_of = Counter(cache for _, _, cache in found if cache in large)
    at_once = Counter(
        cache for process, flags, cache in found if process == str(os.getpid()) and flags[2:3] not in "hHsSzZ"
    )
    return {cache: [number, at_once[cache]] for cache, number in all_of.items()}
