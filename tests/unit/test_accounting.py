"""Stage stress's accounts of the kernel: what counts as left behind or as growth, and what doesn't."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from vexlab.guest.inside import holdings
from vexlab.guest.testing import accounting, kernel_log

IDLE = accounting.Holdings(
    registered=False, loaded=False, caches={"kmalloc-512": [100, 512, 16], "kmalloc-8": [3000, 8, 512]},
    loops=["loop0"], slab=40000, available=1500000,
)  # fmt: skip


def changed(**changes: Any) -> accounting.Holdings:
    return dataclasses.replace(IDLE, **changes)


def with_objects(number: int, cache: str = "kmalloc-512") -> accounting.Holdings:
    return changed(caches=IDLE.caches | {cache: [number, *IDLE.caches[cache][1:]]})


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (changed(loaded=True), "the module is still loaded"),
        (changed(registered=True), "the filesystem type is still registered"),
        (changed(caches=IDLE.caches | {"toyfs_inode": [0, 700, 11]}), "slab caches are still there: toyfs_inode"),
        (changed(loops=["loop0", "loop1"]), "loop devices are still in use: loop1"),
        (changed(slab=50000), "slab memory grew by 10000 KiB"),
        (changed(available=1400000), "100000 KiB less are available"),
    ],
)
def test_what_is_left_behind_is_named(after: accounting.Holdings, said: str) -> None:
    assert len(accounting.left_behind(IDLE, after)) == 1
    assert said in accounting.left_behind(IDLE, after)[0]


def test_an_idle_kernels_ups_and_downs_are_no_finding() -> None:
    after = changed(slab=40100, available=1480000, loops=[], caches={"kmalloc-512": [90, 512, 16]})
    assert accounting.left_behind(IDLE, after) == []


def test_what_was_there_before_was_not_left_behind() -> None:
    """The kernel's own module is loaded all the time, and its caches come with its first mounts."""
    before = changed(registered=True, loaded=True)
    assert accounting.left_behind(before, changed(registered=True, loaded=True, caches={"toy": [1, 512, 16]})) == []
    after = changed(registered=True, loaded=True, loops=["loop0", "loop1"])
    assert accounting.left_behind(before, after) == ["loop devices are still in use: loop1"]


def test_what_the_kernel_frees_lazily_is_no_leak() -> None:
    looks = [changed(caches={"vmap_area": [number, 72, 56]}) for number in (100, 154, 244, 320, 400)]
    assert accounting.growth(looks, 50) == []


def test_what_others_use_for_a_moment_is_not_held() -> None:
    one, other = {"a": [12, 512, 16], "b": [90, 8, 512], "gone": [1, 8, 512]}, {"a": [21, 512, 16], "b": [60, 8, 512]}
    assert holdings.least(one, other) == {"a": [12, 512, 16], "b": [60, 8, 512]}


class Kernel:
    """Stands for the look at the guest: what is in use grows by a plan, and moments are counted."""

    def __init__(self, *plan: accounting.Holdings) -> None:
        self.plan = list(plan)
        self.turns: list[int] = []

    def look(self) -> accounting.Holdings:
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


def grown(kernel: Kernel, cycles: int) -> list[str]:
    return accounting.grown(kernel.look, cycles, kernel.turns.append)


@pytest.mark.parametrize("cycles", [20, 25, 100])
def test_an_object_in_each_cycle_is_a_leak(cycles: int) -> None:
    """However long it goes on; it is looked at for longer than was asked for, since it is suspicious."""
    turns = [cycles // 2, *[cycles - cycles // 2] * (accounting.IN_A_ROW - 1)]
    seen = Kernel(*(with_objects(100 + sum(turns[:number])) for number in range(len(turns) + 1)))
    [found] = grown(seen, cycles)
    assert f"kmalloc-512 (objects of 512 bytes) grew by {' and '.join(map(str, turns))} objects" in found
    assert seen.turns == turns


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((200, 179, 191, 203, 215, 227), "12 and 12 and 12 and 12"),
        ((200, 212, 191, 203, 215, 227, 239), "12 and 12 and 12 and 12"),
        ((200, 212, 225, 233, 246), "12 and 13 and 8 and 13"),
    ],
)
def test_what_was_freed_late_hides_no_leak(numbers: tuple[int, ...], said: str) -> None:
    """As it was seen of 12 objects of 512 bytes, where some that others had left were freed in one of the turns."""
    [found] = grown(Kernel(*map(with_objects, numbers)), 24)
    assert f"grew by {said} objects" in found


@pytest.mark.parametrize(
    ("looks", "turns"),
    [
        ([IDLE, with_objects(500), with_objects(500)], 3),  # once, and not again
        ([IDLE, with_objects(100), with_objects(500), with_objects(500)], 3),
        ([IDLE, with_objects(103), with_objects(106)], 2),  # less than the bound
        ([IDLE, with_objects(3100, "kmalloc-8"), with_objects(3200, "kmalloc-8")], 2),  # less than a slab
        ([IDLE, with_objects(120), with_objects(140), with_objects(141)], 4),  # twice by chance
        ([IDLE, with_objects(120), with_objects(140), with_objects(160), with_objects(161)], 5),
        (list(map(with_objects, (100, 130, 160, 190, 160, 190, 220))), 6),  # up and down
        (list(map(with_objects, (100, 110, 117, 119, 127, 134, 138))), 6),  # slower than the cycles
        ([IDLE, IDLE, changed(available=1420000), changed(available=1490000)], 3),  # of which most came back
    ],
)
def test_what_does_not_grow_with_the_cycles_is_no_leak(looks: list[accounting.Holdings], turns: int) -> None:
    """As many turns as were asked for, and further ones only while something is suspicious."""
    seen = Kernel(*looks)
    assert grown(seen, 20) == []
    assert len(seen.turns) == turns


def test_memory_that_is_gone_after_the_cycles_is_a_leak() -> None:
    [found] = grown(Kernel(IDLE, IDLE, changed(available=1420000)), 20)
    assert "80000 KiB less are available after 4 turns of 10 cycles" in found


def test_one_cycle_is_a_turn() -> None:
    seen = Kernel(IDLE)
    assert grown(seen, 1) == []
    assert seen.turns == [1]


def test_what_comes_back_after_a_while_was_not_left_behind() -> None:
    seen = Kernel(changed(loops=["loop0", "loop1"]), changed(available=1400000), IDLE)
    assert accounting.settled(seen.look, IDLE, 3.0) == (IDLE, [])


def test_what_stays_was_left_behind() -> None:
    after = changed(loops=["loop0", "loop1"])
    assert accounting.settled(Kernel(after).look, IDLE, 0.01) == (after, ["loop devices are still in use: loop1"])


@pytest.mark.parametrize(
    ("line", "complains"),
    [
        ("[   12.345678] ToyFS (loop0): inode 7 is wrong", True),
        ("[   12.345678] Buffer I/O error on dev loop0, logical block 3", True),
        ("[   12.345678] toyfs: loading out-of-tree module taints kernel.", False),
        ("[   12.345678] toyfs: module verification failed: signature and/or required key missing", False),
        ("[   12.345678] toyfs: module license 'Proprietary' taints kernel.", False),
        ("[   12.345678] Disabling lock debugging due to kernel taint", False),
        ("[   12.345678] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable", False),
        ("[   12.345678] workqueue: toyfs_commit_worker hogged CPU for >10000us 4 times", False),
        ("[   95.697581] set_capacity_and_notify: 2 callbacks suppressed", False),
        ("[  450.879752] EXT4-fs unmount: 102 callbacks suppressed", False),  # the first ten were said, at their level
        ("[   12.345678] hrtimer: interrupt took 12345678 ns", False),
        (
            "[   12.345678] toyfs filesystem being mounted at /mnt supports timestamps until 2038-01-19 (0x7fffffff)",
            False,
        ),
        ("[   12.345678] toyfs filesystem being mounted at /mnt is broken", True),
    ],
)
def test_complaints_are_the_filesystems_and_not_the_machines(line: str, complains: bool) -> None:
    assert kernel_log.complaints([line]) == ([line] if complains else [])
