"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import space
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write", "statfs")


def test_sizes_make_sense(target: Target, mounted: Scratch) -> None:
    """The size is of the device's order, if there is a device, and no more is free than there is."""
    block, total, free, available, longest = mounted.call(space.sizes)
    assert target.lacks("device") or mounted.size // 2 <= block * total <= mounted.size, (
        f"statfs says {total} blocks of {block} bytes, on a device of {mounted.size} bytes"
    )
    assert 0 < available <= free <= total, f"statfs says {total} blocks, {free} free, {available} of them for all"
    assert 0 < longest <= 4096, f"statfs says that a name may have {longest} bytes"


def test_free_inodes_fall_and_come_back(target: Target, mounted: Scratch) -> None:
    """A number that is leaked by each file removed ends with an empty disk on which no file can be made."""
    before, during, after, count = mounted.call(space.inodes_of_many_files, seconds=60 + target.room_returns_seconds)
    if during == before:
        pytest.skip(f"statfs of this filesystem doesn't count inodes: {count} files more are not seen")
    assert during <= before - count, f"{count} files were made, and {before - during} inodes are gone"
    assert after >= before - count // 10, f"{before - after} of the inodes of {count} files were not given back"


def test_free_space_falls_and_comes_back(target: Target, mounted: Scratch) -> None:
    """Space that is leaked by each file removed fills a disk that holds nothing."""
    before, full, after, size = mounted.call(space.room_of_large_files, seconds=90 + target.room_returns_seconds)
    # A filesystem that frees later may give back meanwhile what was used before.
    assert full <= before - size * 15 // 16, f"{size} bytes were written, and by statfs {before - full} are gone"
    assert after >= before - size // 16, (
        f"{size} bytes were removed, and by statfs {before - after} were not given back"
    )


def test_free_space_is_the_same_after_a_remount(target: Target, mounted: Scratch) -> None:
    """What is kept in memory and what is on disk agree, with room for what the filesystem itself writes."""
    before, after = mounted.call(space.free_over_a_remount, seconds=60 + target.room_returns_seconds)
    assert abs(after - before) <= 1 << 20, f"{before} bytes were free, and {after} after the remount"
