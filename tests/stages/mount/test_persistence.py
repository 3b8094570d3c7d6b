"""A whole tree, told by its manifest, before and after."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import trees
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import first_line_that_differs

pytestmark = pytest.mark.requires("read-write", "persistent")


@pytest.fixture(scope="module")
def planted(target: Target, mounted: Scratch) -> list[str]:
    """The manifest of a tree that was just made, while all of it is still in memory."""
    return mounted.call(trees.plant, target.capabilities)


def same(found: list[str], planted: list[str], when: str) -> None:
    """Assert that a manifest is what it was."""
    wrong = first_line_that_differs(found, planted)
    assert not wrong, f"of a tree of {len(planted)} names, {when}: {wrong}"


def test_tree_is_the_same_after_a_remount(target: Target, mounted: Scratch, planted: list[str]) -> None:
    """What was in memory only is lost by an unmount."""
    same(mounted.call(trees.after_a_remount, target.capabilities), planted, "after a remount")


def test_tree_is_the_same_read_only(target: Target, mounted: Scratch, planted: list[str]) -> None:
    """A read-only mount goes other ways through the code, and must not need to repair anything first."""
    same(mounted.call(trees.read_only, target.capabilities), planted, "under a read-only mount")


@pytest.mark.needs("module")
@pytest.mark.usefixtures("lab_taken_down")
def test_tree_is_the_same_after_the_module_was_reloaded(target: Target, mounted: Scratch, planted: list[str]) -> None:
    """What a module keeps in memory of its own isn't on the disk; and an idle module must go, and come back."""
    module = (target.module_name, target.module_path, target.module_parameters)
    found = mounted.call(trees.after_a_reload, target.capabilities, *module)
    same(found, planted, "after the module was reloaded")
