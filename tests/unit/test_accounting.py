"""Stage stress's accounts of the kernel: what counts as left behind or as growth, and what doesn't."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "guest"))

import accounting
import kernel_log

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


@pytest.mark.parametrize("cycles", [20, 100])
def test_an_object_in_each_cycle_is_a_leak(cycles: int) -> None:
    looks = [IDLE, with_objects(100 + cycles // 2), with_objects(100 + cycles)]
    [found] = accounting.growth(looks, cycles)
    assert f"kmalloc-512 (objects of 512 bytes) grew by {cycles // 2} and {cycles // 2} objects" in found


@pytest.mark.parametrize(
    "looks",
    [
        [IDLE, with_objects(500), with_objects(500)],  # once, and not again
        [IDLE, with_objects(100), with_objects(500)],
        [IDLE, with_objects(104), with_objects(108)],  # less than the bound
        [IDLE, with_objects(3100, "kmalloc-8"), with_objects(3200, "kmalloc-8")],  # less than a slab
    ],
)
def test_what_does_not_grow_with_the_cycles_is_no_leak(looks: list[accounting.Holdings]) -> None:
    assert accounting.growth(looks, 20) == []


def test_memory_that_is_gone_after_the_cycles_is_a_leak() -> None:
    assert (
        "80000 KiB less are available after 20 cycles"
        in accounting.growth([IDLE, IDLE, changed(available=1420000)], 20)[0]
    )


@pytest.mark.parametrize(
    ("line", "complains"),
    [
        ("[   12.345678] ToyFS (loop0): inode 7 is wrong", True),
        ("[   12.345678] Buffer I/O error on dev loop0, logical block 3", True),
        ("[   12.345678] toyfs: loading out-of-tree module taints kernel.", False),
        ("[   12.345678] toyfs: module verification failed: signature and/or required key missing", False),
        ("[   12.345678] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable", False),
        ("[   12.345678] workqueue: toyfs_commit_worker hogged CPU for >10000us 4 times", False),
        ("[   95.697581] set_capacity_and_notify: 2 callbacks suppressed", False),
        ("[   95.697581] toyfs_read_block: 2 callbacks suppressed", True),
        ("[   12.345678] hrtimer: interrupt took 12345678 ns", False),
    ],
)
def test_complaints_are_the_filesystems_and_not_the_machines(line: str, complains: bool) -> None:
    assert kernel_log.complaints([line]) == ([line] if complains else [])
