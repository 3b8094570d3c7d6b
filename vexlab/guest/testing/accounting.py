"""What the kernel holds, before and after: filesystem type, slab caches, loop devices, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic, sleep

from vexlab.guest.inside import holdings
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


@dataclass(frozen=True)
class Holdings:
    """What the kernel holds at a moment: memory in KiB.

    For each slab cache: objects in use, their size, and how many make a slab, which is how exact the first number is.
    """

    registered: bool
    loaded: bool
    caches: dict[str, list[int]]
    loops: list[str]
    slab: int
    available: int


def look(guest: Guest, target: Target) -> Holdings:
    """What the kernel holds now, after it has let go of what it needn't hold."""
    return Holdings(**guest.call(holdings.look, target.filesystem_type, target.module_name))


# Bounds. What the numbers do by themselves was measured: slab memory 100 KiB; what is available 20 MiB in an idle
# guest, and 37 MiB in the first part of the stage on a guest that has just started.
SLAB_KIB = 4096
AVAILABLE_KIB = 65536
PER_CYCLE = 0.8  # objects of a slab cache
LAZY = {"vmap_area"}  # freed when they are many; vmalloc'd memory that is leaked is missing from what is available
LEAST = 8  # objects, in each turn of cycles
# What is leaked stays, however long one waits, and grows whenever it is done again. What a busy guest holds for a
# while, or what one of its daemons came to need, doesn't do that.
PATIENCE = 15.0  # seconds
MORE_TURNS = 3


def settled(
    look_again: Callable[[], Holdings], before: Holdings, patience: float = PATIENCE
) -> tuple[Holdings, list[str]]:
    """What the kernel holds once nothing is left behind any more, or when waiting doesn't help; and what is left."""
    deadline = monotonic() + patience
    while True:
        after = look_again()
        left = left_behind(before, after)
        if not left or monotonic() > deadline:
            return after, left
        sleep(patience / PATIENCE)


def grown(look_again: Callable[[], Holdings], cycles: int, turn: Callable[[int], None]) -> list[str]:
    """Have so many cycles done, in two turns, and say what grew in both, and in each of the further turns then."""
    first = cycles // 2
    turns = [first, cycles - first] if first else [cycles]
    looks = [look_again()]
    for count in turns:
        turn(count)
        looks.append(look_again())
    found = growth(looks, turns[0])
    while found and len(looks) <= len(turns) + MORE_TURNS:
        turn(turns[-1])
        looks.append(look_again())
        found = growth(looks, turns[0])
    return found


def left_behind(before: Holdings, after: Holdings) -> list[str]:
    """What was left, in words; `before` is a moment when nothing was mounted, nor the target's own module loaded."""
    found = []
    if after.loaded > before.loaded or after.registered > before.registered:
        found.append("the module is still loaded" if after.loaded else "the filesystem type is still registered")
    # A module that stays may keep a cache that it made at its first mount, as ext4 does for each size of block.
    caches = [] if before.registered else sorted(set(after.caches) - set(before.caches))
    if caches:
        found.append(f"slab caches are still there: {', '.join(caches)}")
    if loops := sorted(set(after.loops) - set(before.loops)):
        found.append(f"loop devices are still in use: {', '.join(loops)}")
    if after.slab - before.slab > SLAB_KIB:
        found.append(f"slab memory grew by {after.slab - before.slab} KiB, more than {SLAB_KIB}")
    if before.available - after.available > AVAILABLE_KIB:
        found.append(f"{before.available - after.available} KiB less are available, more than {AVAILABLE_KIB}")
    return found


def growth(looks: list[Holdings], cycles: int) -> list[str]:
    """What grew in each turn of so many cycles, in words; `looks` are before and after each turn.

    An object that is leaked in each cycle shows in its slab cache, in each turn. The kernel counts a slab that a CPU
    has to itself as full, so for small objects, of which a slab holds many, it takes more cycles to see that.
    """
    found = []
    for name, (_, size, together) in looks[-1].caches.items():
        if name in LAZY:
            continue
        numbers = [look.caches.get(name, [0])[0] for look in looks]
        steps = [after - before for before, after in pairwise(numbers)]
        bound = max(PER_CYCLE * cycles, together / 2, LEAST)
        if min(steps) >= bound:
            found.append(f"slab cache {name} (objects of {size} bytes) grew by {' and '.join(map(str, steps))} objects "
                         f"in turns of {cycles} cycles, the bound is {bound:.0f} in each")  # fmt: skip
    if (lost := looks[0].available - looks[-1].available) > AVAILABLE_KIB:
        found.append(f"{lost} KiB less are available after {len(steps)} turns of {cycles} cycles, "
                     f"the bound is {AVAILABLE_KIB}")  # fmt: skip
    return found
