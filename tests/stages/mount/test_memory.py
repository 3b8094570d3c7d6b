"""What the kernel does when memory is short, while the filesystem is mounted."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import trees
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import first_line_that_differs

pytestmark = pytest.mark.requires("read-write")


def test_tree_is_the_same_when_memory_was_wanted(target: Target, mounted: Scratch) -> None:
    """Names, inodes and pages go when others need the memory, and come back as they were (sysctl/vm.rst)."""
    planted = mounted.call(trees.plant, target.capabilities)
    wrong = first_line_that_differs(mounted.call(trees.after_memory_was_wanted, target.capabilities), planted)
    assert not wrong, f"of a tree of {len(planted)} names, after the kernel let go of its caches: {wrong}"
