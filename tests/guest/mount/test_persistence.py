"""A whole tree, told by its manifest, before and after."""

from __future__ import annotations

import pytest
from guest import Lab
from inside import trees
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "persistent")


@pytest.fixture(scope="module")
def planted(lab: Lab, mounted: Scratch) -> list[str]:
    """The manifest of a tree that was just made, while all of it is still in memory."""
    lines = mounted.call(trees.plant, lab.capabilities)
    assert len(lines) >= 60
    return lines


def test_tree_is_the_same_after_a_remount(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """What was in memory only is lost by an unmount."""
    assert mounted.call(trees.after_a_remount, lab.capabilities) == planted


def test_tree_is_the_same_read_only(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """A read-only mount goes other ways through the code, and must not need to repair anything first."""
    assert mounted.call(trees.read_only, lab.capabilities) == planted


@pytest.mark.needs("module")
@pytest.mark.usefixtures("lab_taken_down")
def test_tree_is_the_same_after_the_module_was_reloaded(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """What a module keeps in memory of its own isn't on the disk; and an idle module must go, and come back."""
    module = (lab.module_name, lab.module_path, lab.module_parameters)
    found = mounted.call(trees.after_a_reload, lab.capabilities, *module)
    assert found == planted
