"""Room: what is given, what is given back, and what statfs tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import allocation, room, statx
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write")

TIMES = 30


@pytest.mark.requires("statfs")
@pytest.mark.parametrize("table", ["taken back", "refused"])
def test_nothing_is_lost(target: Target, mounted: Scratch, table: str) -> None:
    """What is made and removed, and a call that fails, leaves as much room and as many inodes as before (statfs(2))."""
    found = mounted.call(room.leaks, table, target.capabilities, TIMES, seconds=90 + target.room_returns_seconds)
    wrong = [
        f"{name}, {TIMES} times and again: {first} and {second} bytes, {inodes} and {again} inodes fewer are free"
        for name, (first, inodes, second, again) in found.items()
    ]
    assert not wrong, f"{'; '.join(wrong)} (below 0: more)"


@pytest.fixture(scope="module")
def whole(mounted: Scratch) -> dict[str, Any]:
    """What statfs(2) says of the whole, by several ways to it."""
    return mounted.call(statx.whole)


@pytest.mark.requires("statfs")
@pytest.mark.parametrize("way", ["file", "descriptor", "after a remount"])
def test_statfs_says_the_same_of_the_whole(target: Target, whole: dict[str, Any], way: str) -> None:
    """Sizes, length of names and fsid are the same of each file, and stay (statfs(2), fstatfs(2))."""
    if way == "after a remount" and "persistent" not in target.capabilities:
        pytest.skip(f"target {target.target_name} is another filesystem after a remount")
    names = ("f_bsize", "f_frsize", "f_blocks", "f_namemax", "f_fsid")
    both = zip(names, whole["root"], whole[way], strict=True)
    wrong = [f"{name} is {other:#x}, and {root:#x} of the root" for name, root, other in both if root != other]
    assert not wrong, f"statfs(2), {way}: {', '.join(wrong)}"


@pytest.mark.requires("statfs")
def test_no_count_is_below_zero(whole: dict[str, Any]) -> None:
    """No more is free than there is, of blocks and of inodes; a count that fell below 0 is huge (statfs(2))."""
    blocks, free, available, files, free_files, available_files = whole["counts"]
    assert available <= free <= blocks, f"of {blocks} blocks {free} are free, {available} for all"
    assert available_files <= free_files <= files, f"of {files} inodes {free_files} are free, {available_files} for all"


@pytest.fixture(scope="module")
def modes(mounted: Scratch) -> dict[str, list[Any]]:
    """For each mode of fallocate: what came of it, the content at once and after a remount, blocks before and after."""
    return mounted.call(allocation.try_all)


@pytest.mark.parametrize("mode", allocation.MODES)
def test_fallocate_does_what_its_mode_says(target: Target, modes: dict[str, list[Any]], mode: str) -> None:
    """Size and content are as documented, and nothing else is touched; or EOPNOTSUPP (fallocate(2))."""
    came, at_once, later, before, after = modes[mode]
    case = allocation.MODES[mode]
    what = f"fallocate(2), mode {mode}, offset {case.offset}, length {case.length} of {allocation.SIZE} bytes: {came}"
    assert came in ("done", "EOPNOTSUPP", "ENOSYS"), f"{what}; expected done or EOPNOTSUPP"
    assert at_once == "right", f"{what}; then the file is {at_once}"
    assert later == "right", f"{what}; after a remount the file is {later}"
    if came != "done":
        pytest.skip(f"this filesystem has no such mode: {came}")
    if mode == "PUNCH_HOLE" and "sparse-files" in target.capabilities:
        assert after < before, f"{what}; the file takes {after} blocks of 512 bytes, and took {before}"


def test_range_is_synced(mounted: Scratch) -> None:
    """sync_file_range succeeds on a file that was written (sync_file_range(2))."""
    came = mounted.call(allocation.sync_a_range)
    assert came in ("done", "ESPIPE"), f"sync_file_range(2) of a file: expected done, came {came}"
