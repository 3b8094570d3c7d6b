"""Directories."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import directories
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import difference, listed, quoted

pytestmark = pytest.mark.requires("read-write", "directories")

# So many and so long that a listing of them takes several calls of getdents: Python asks for 32 KiB each time.
MANY, LENGTH = 1000, 51


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(directories.errors)


@pytest.mark.parametrize("attempt", directories.ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """A call that would tear a tree apart is refused, and the errno says why."""
    wanted = directories.ERRORS[attempt][1]
    assert outcome[attempt] in wanted.split(" or "), f"{attempt}: {outcome[attempt]}, expected {wanted}"


def test_refused_removals_left_the_content(mounted: Scratch, outcome: dict[str, str]) -> None:
    """An error that was told after half the work is worse than none."""
    done = [attempt for attempt, came in outcome.items() if came == "done"]
    assert not done, f"done, and should have been refused: {listed(done)}"
    content = mounted.call(directories.content_left)
    assert content == "content", (
        f"the file in the directory reads {quoted(content)} after it, expected {quoted('content')}"
    )


def test_nested_directories_are_kept(mounted: Scratch) -> None:
    """Directories in directories, forty levels deep, are there after a remount."""
    content, is_left = mounted.call(directories.nested)
    assert content == "bottom", f"the file in the innermost directory reads {quoted(content)} after a remount"
    assert not is_left, "each directory was removed, and the outermost is still there"


def test_parent_and_self_are_right(mounted: Scratch) -> None:
    """`.` and `..` lead where they should, from disk too."""
    paths = [".", "child/..", "../parent", "child", "child/."]
    parent, by_child, by_parent, child, itself = mounted.call(directories.inodes_from_a_directory, paths)
    for path, seen, wanted in (
        ("child/..", by_child, parent),
        ("../parent", by_parent, parent),
        ("child/.", itself, child),
    ):
        assert seen == wanted, f"{path} leads to inode {seen} after a remount, expected {wanted}"
    assert child != parent, f"a directory and the one in it have the same inode, {child}"


def test_links_count_the_subdirectories(mounted: Scratch) -> None:
    """Two and one for each subdirectory; or 1 throughout, by which a filesystem says that it doesn't count."""
    counts = mounted.call(directories.link_counts)
    assert counts in ([2, 4, 3, 2], [1, 1, 1, 1]), (
        "links of a directory that is new, has two directories, has one, has none: "
        f"{', '.join(map(str, counts))}; expected 2, 4, 3, 2"
    )


def test_removed_directory_stays_away(mounted: Scratch) -> None:
    """A removed directory is gone after a remount too, and a file can have its name."""
    content = mounted.call(directories.name_of_a_removed_one)
    assert content == "file", f"a file with the name of a removed directory reads {quoted(content)} after a remount"


@pytest.fixture(scope="module")
def many(mounted: Scratch) -> dict[str, list[str]]:
    """What is listed of a directory of so many entries that it takes many blocks."""
    return mounted.call(directories.list_many, MANY, LENGTH, seconds=120)


@pytest.mark.parametrize("when", ["at once", "after a remount"])
def test_each_of_many_entries_is_listed_once(many: dict[str, list[str]], when: str) -> None:
    """A listing that goes over several calls of getdents drops or repeats entries when positions are wrong."""
    wrong = difference([name.lower() for name in many[when]], many["made"])
    assert not wrong, f"of {len(many['made'])} entries {when}, {wrong}"


@pytest.mark.usefixtures("many")
def test_many_entries_can_be_removed(mounted: Scratch) -> None:
    """Every other first, which leaves gaps; the rest is still right; then all, in the order of a listing."""
    wanted, found, is_left = mounted.call(directories.remove_many, seconds=120)
    assert found == wanted, f"with every other entry removed, {difference(found, wanted)}"
    assert not is_left, "each entry was removed, then the directory, which is still there"
