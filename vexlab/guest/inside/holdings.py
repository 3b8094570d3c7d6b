"""What the kernel holds: filesystem type, slab caches, loop devices, memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vexlab.guest.inside.system import read, registered, write


def look(kind: str, module: str) -> dict[str, Any]:
    """What is held now: the fields of accounting.Holdings, of a filesystem type and its module.

    What waits for a grace period, for memory pressure or in a list of free objects isn't a leak: it is let go first.
    Nor is what processes have: no filesystem takes that, and how much it is differs with what else the guest does.
    """
    let_go()
    memory = {line.split(":")[0]: int(line.split()[1]) for line in read("/proc/meminfo").splitlines()}
    return {
        "registered": registered(kind),
        "loaded": bool(module) and os.path.exists(f"/sys/module/{module}"),
        "caches": least_of_caches(),
        "loops": sorted(path.parts[3] for path in Path("/sys/block").glob("loop*/loop/backing_file")),
        "slab": memory["Slab"],
        "available": memory["MemAvailable"] + memory["AnonPages"] + memory["Shmem"],
    }


def let_go() -> None:
    """Have the kernel let go of what it keeps for the case that somebody wants it again."""
    os.sync()
    for _ in range(2):
        write("/proc/sys/vm/drop_caches", "3")
    shrink()


def shrink() -> None:
    """Have the slab caches let go of objects that are free, in slabs of their own."""
    for path in Path("/sys/kernel/slab").glob("*/shrink"):
        if not path.parent.is_symlink():
            write(str(path), "1")


def least_of_caches() -> dict[str, list[int]]:
    """The caches with the least objects in use of two looks: what others use for a moment isn't held."""
    first = slab_caches()
    shrink()
    return least(first, slab_caches())


def least(one: dict[str, list[int]], other: dict[str, list[int]]) -> dict[str, list[int]]:
    """Of two looks, for each cache that both show, the one with fewer objects in use."""
    return {name: min(one[name], other[name]) for name in one if name in other}


def slab_caches() -> dict[str, list[int]]:
    """For each slab cache: objects in use, their size in bytes, how many make a slab."""
    caches = {}
    for line in read("/proc/slabinfo").splitlines()[2:]:
        name, active, _, size, together, *_ = line.split()
        caches[name] = [int(active), int(size), int(together)]
    return caches
