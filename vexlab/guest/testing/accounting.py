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
MORE_TURNS = 4
# So many turns in a row have to show a leak. One of the first two needn't: there, what was freed late by what came
# before was seen to hide a dozen objects.
IN_A_ROW = 4


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
    """Have so many cycles done, in two turns, and say what grows; further turns are done while that is doubtful.

    `look_again` tells what the kernel holds, `turn` does a number of cycles.
    """
    first = cycles // 2
    turns = [first, cycles - first] if first else [cycles]
    looks = [look_again()]
    for count in turns:
        turn(count)
        looks.append(look_again())
    while not growth(looks, turns[0]) and _is_doubtful(looks, turns[0]) and len(looks) <= len(turns) + MORE_TURNS:
        turn(turns[-1])
        looks.append(look_again())
    return growth(looks, turns[0])


def _is_doubtful(looks: list[Holdings], cycles: int) -> bool:
    """Whether memory is gone, or a slab cache grew in every turn but one: that is a leak if it goes on."""
    if _memory_gone(looks, cycles):
        return True
    for name, entry in looks[-1].caches.items():
        steps, bound = _steps(looks, name), _bound(entry, cycles)
        if name not in LAZY and sum(step >= bound / 2 for step in steps) >= max(1, len(steps) - 1):
            return True
    return False


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
    """What grew in each of the last turns of so many cycles, in words; `looks` are before and after each turn."""
    if len(looks) <= IN_A_ROW:
        return []
    return _caches_grown(looks[-1 - IN_A_ROW :], cycles) + _memory_gone(looks, cycles)


def _caches_grown(looks: list[Holdings], cycles: int) -> list[str]:
    """The slab caches that grew in every turn, and by as much as a leak makes them in all turns together.

    An object that is leaked in each cycle shows in its slab cache, in each turn. The kernel counts a slab that a CPU
    has to itself as full, so for small objects, of which a slab holds many, it takes more cycles to see that.
    """
    found = []
    for name, entry in looks[-1].caches.items():
        steps, bound = _steps(looks, name), _bound(entry, cycles)
        if name not in LAZY and sum(steps) >= bound * len(steps) and min(steps) >= bound / 2:
            found.append(f"slab cache {name} (objects of {entry[1]} bytes) grew by {' and '.join(map(str, steps))} "
                         f"objects in turns of {cycles} cycles, the bound is {bound:.0f} a turn")  # fmt: skip
    return found


def _steps(looks: list[Holdings], name: str) -> list[int]:
    """By how many objects a slab cache grew in each turn."""
    return [after - before for before, after in pairwise(look.caches.get(name, [0])[0] for look in looks)]


def _bound(entry: list[int], cycles: int) -> float:
    """The objects that a slab cache grows by in a turn of so many cycles when each leaks one."""
    return max(PER_CYCLE * cycles, entry[2] / 2, LEAST)


def _memory_gone(looks: list[Holdings], cycles: int) -> list[str]:
    """Memory that isn't available any more after all turns."""
    lost = looks[0].available - looks[-1].available
    if lost <= AVAILABLE_KIB:
        return []
    return [
        f"{lost} KiB less are available after {len(looks) - 1} turns of {cycles} cycles, the bound is {AVAILABLE_KIB}"
    ]
