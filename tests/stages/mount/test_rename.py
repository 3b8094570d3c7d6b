"""rename(2)."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import rename
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write", "directories", "rename")


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(rename.errors)


@pytest.mark.parametrize("attempt", rename.ERRORS)
def test_answer_is_right(outcome: dict[str, str], attempt: str) -> None:
    """A directory in its own child would be a loop that nobody can reach."""
    wanted = rename.ERRORS[attempt][1]
    assert outcome[attempt] in wanted.split(" or "), f"rename {attempt}: {outcome[attempt]}, expected {wanted}"


@pytest.mark.usefixtures("outcome")
def test_refused_renames_changed_nothing(mounted: Scratch) -> None:
    """Neither name of a rename that failed is lost."""
    tree, wanted = mounted.call(rename.tree_after_errors), "file=content full/ full/sub/ other/"
    assert tree == wanted, f"after renames that were refused the tree is {tree}, expected {wanted}"


# What is made, what is renamed to what, and the tree after it.
MOVES = {
    "file": ("a=1", "a", "b", "b=1"),
    "file over file": ("a=1 b=2", "a", "b", "b=1"),
    "file to directory": ("a=1 d/", "a", "d/b", "d/ d/b=1"),
    "file over file in directory": ("a=1 d/ d/b=2", "a", "d/b", "d/ d/b=1"),
    "directory": ("d/ d/e/ d/e/f=1", "d", "c", "c/ c/e/ c/e/f=1"),
    "directory over empty directory": ("d/ c/ d/f=1", "d", "c", "c/ c/f=1"),
    "directory to directory": ("d/ d/e/ c/ d/e/f=1", "d/e", "c/g", "c/ c/g/ c/g/f=1 d/"),
}


@pytest.fixture(scope="module")
def trees(mounted: Scratch) -> dict[str, str]:
    """Each move, made in a directory of its own, as it is after a remount."""
    return mounted.call(rename.moved, MOVES)


@pytest.mark.parametrize("move", MOVES)
def test_tree_is_right(trees: dict[str, str], move: str) -> None:
    """After a remount there is the new name, with the old content, and no old name."""
    made, old, new, wanted = MOVES[move]
    assert trees[move] == wanted, f"in {made}, {old} renamed to {new}: {trees[move]} after a remount, expected {wanted}"


def test_parent_follows(mounted: Scratch) -> None:
    """`..` of a directory that moved is its new parent, which also counts it."""
    parent, dot_dot, *links = mounted.call(rename.parent_of_what_moved)
    assert dot_dot == parent, f".. of a directory that moved is inode {dot_dot}, its new parent is {parent}"
    assert links in ([2, 3], [1, 1]), (
        f"a directory moved: its old parent has {links[0]} links, its new one {links[1]}; expected 2 and 3"
    )


def test_inode_stays(mounted: Scratch) -> None:
    """A rename moves a name, not the file: whoever has it open goes on with it."""
    before, after, content = mounted.call(rename.rename_an_open_file)
    assert after == before, f"a rename changed the inode of a file from {before} to {after}"
    assert content == "12", f"renamed while it was written, the file reads {quoted(content)}, expected 12"


def test_replaced_file_gives_its_room_back(target: Target, mounted: Scratch) -> None:
    """The file whose name was taken over is freed, not lost."""
    size, taken = mounted.call(rename.replace_big_files, seconds=60 + target.room_returns_seconds)
    assert "statfs" not in target.capabilities or taken < size // 2, (
        f"small files were renamed over {size} bytes of others, and {taken} bytes are still taken"
    )
