"""Full, crowded, deep: what a filesystem meets when somebody uses it up."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import limits
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = [pytest.mark.requires("read-write"), pytest.mark.timeout(600)]

FILL_SECONDS = 120  # for writing; reading and removing take less
MANY_FILES = 10  # after so many, one more that is refused is refused for their number


@pytest.mark.requires("statfs")
def test_full_and_empty_again(guest: Guest, target: Target, part: Scratch) -> None:
    """ENOSPC and no other error, all that was written is there, and all the space comes back, each time."""
    rounds = 1 if target.quick else 2
    for before, full, after, why, files in part.call(limits.fill, rounds, FILL_SECONDS, seconds=3 * FILL_SECONDS):
        assert after >= before - (1 << 20), f"all was removed again, and {before - after} bytes were not given back"
        if full >= before // 10 and (why.startswith("slow") or files >= MANY_FILES):
            pytest.skip(f"it can't be filled: {why}, with {full} of {before} bytes free")
        assert full < before // 10, f"{why or 'ENOSPC'}, with {full} of {before} bytes free"
    part.remount()
    guest.ok(f"cd {part.point}; echo still works >file; sync -f .; rm file")


def test_many_small_files(target: Target, part: Scratch) -> None:
    """Each of many files in a directory is listed once, holds its content after a remount, and can be removed."""
    count = 250 if target.quick else 1000
    made = part.call(limits.make_small_files, count, seconds=150)
    part.remount()
    part.call(limits.check_small_files, made, seconds=150)


@pytest.mark.requires("directories")
def test_deep_tree(target: Target, part: Scratch) -> None:
    """A tree that is deeper than a path can name at once is made, read back and removed."""
    depth = 80 if target.quick else 200
    made, name = part.call(limits.make_deep_tree, depth, seconds=150)
    part.remount()
    part.call(limits.check_deep_tree, made, name, seconds=150)
