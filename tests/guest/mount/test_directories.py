"""Directories."""

from __future__ import annotations

import pytest
from inside import directories
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories")

# So long that a listing of them takes several calls of getdents: Python asks for 32 KiB each time.
MANY = [f"entry-{number:04d}-{'long' * 10}" for number in range(1, 1001)]


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(directories.errors)


@pytest.mark.parametrize("attempt", directories.ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """What would tear a tree apart is refused."""
    assert outcome[attempt] in directories.ERRORS[attempt][1].split(" or ")


def test_refused_removals_left_the_content(mounted: Scratch, outcome: dict[str, str]) -> None:
    """An error that was told after half the work is worse than none."""
    assert "done" not in outcome.values()
    assert mounted.call(directories.content_left) == "content"


def test_nested_directories_are_kept(mounted: Scratch) -> None:
    """Forty levels deep."""
    assert mounted.call(directories.nested) == ["bottom", False]


def test_parent_and_self_are_right(mounted: Scratch) -> None:
    """`.` and `..` lead where they should, from disk too."""
    paths = [".", "child/..", "../parent", "child", "child/."]
    parent, by_child, by_parent, child, itself = mounted.call(directories.inodes_from_a_directory, paths)
    assert (by_child, by_parent, itself) == (parent, parent, child)
    assert child != parent


def test_links_count_the_subdirectories(mounted: Scratch) -> None:
    """Two and one for each subdirectory; or 1 throughout, by which a filesystem says that it doesn't count."""
    assert mounted.call(directories.link_counts) in ([2, 4, 3, 2], [1, 1, 1, 1])


def test_removed_directory_stays_away(mounted: Scratch) -> None:
    """And its name can be given again, to a file."""
    assert mounted.call(directories.name_of_a_removed_one) == "file"


@pytest.fixture(scope="module")
def many(mounted: Scratch) -> dict[str, list[str]]:
    """What is listed of a directory of so many entries that it takes many blocks."""
    return mounted.call(directories.list_many, MANY, seconds=120)


@pytest.mark.parametrize("when", ["at once", "after a remount"])
def test_each_of_many_entries_is_listed_once(many: dict[str, list[str]], when: str) -> None:
    """A listing that goes over several calls of getdents drops or repeats entries when positions are wrong."""
    assert sorted(many[when]) == MANY


@pytest.mark.usefixtures("many")
def test_many_entries_can_be_removed(mounted: Scratch) -> None:
    """Every other first, which leaves gaps; the rest is still right; then all, in the order of a listing."""
    assert mounted.call(directories.remove_many, MANY[::2], seconds=120) == [MANY[1::2], False]
