"""renameat2(2) with its flags, and what rename(2) does to directories and to names of one file."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import rename_flags, renaming
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write", "directories", "rename")


@pytest.fixture(scope="module")
def flagged(mounted: Scratch) -> dict[str, list[str]]:
    """What came of each rename with flags, and the tree at once and after a remount."""
    return mounted.call(rename_flags.with_flags)


@pytest.mark.parametrize("case", rename_flags.FLAGS)
def test_flag_is_kept_or_refused(flagged: dict[str, list[str]], case: str) -> None:
    """A flag does what it says, or is refused with EINVAL and nothing happened; never a plain rename (renameat2(2))."""
    came, at_once, later = flagged[case]
    before, _, allowed = rename_flags.FLAGS[case]
    what = f"renameat2(2) with {case}, in {quoted(before)}"
    assert came in allowed, f"{what}: expected {' or '.join(allowed)}, came {came}"
    assert at_once == allowed[came], f"{what}: {came}, expected {quoted(allowed[came])} then, came {quoted(at_once)}"
    assert later == allowed[came], (
        f"{what}: {came}, expected {quoted(allowed[came])} after a remount, came {quoted(later)}"
    )


@pytest.fixture(scope="module")
def counts(mounted: Scratch) -> dict[str, dict[str, list[int]]]:
    """Each way to move a directory: the links of those around it, at once and after a remount."""
    return mounted.call(renaming.counts)


@pytest.mark.parametrize("move", renaming.COUNTS)
def test_moved_directory_is_counted(counts: dict[str, dict[str, list[int]]], move: str) -> None:
    """A directory counts two and one for each in it, or 1 throughout (stat(2), POSIX.1-2017 rename)."""
    _, old, new, right = renaming.COUNTS[move]
    for when, number in (("", 0), (" after a remount", 1)):
        seen = {place: came[number] for place, came in counts[move].items()}
        wrong = broken(seen, right) if set(seen.values()) != {1} else ""
        assert not wrong, f"links after rename({old}, {new}), a directory {move}{when}: {wrong}"


def test_parent_follows_each_move(mounted: Scratch) -> None:
    """`..` of a directory is where it is now, for who is in it as well (rename(2), POSIX.1-2017 rename)."""
    seen = mounted.call(renaming.parents)
    wrong = broken(seen, dict.fromkeys(seen, True))
    assert not wrong, f"rename(2) of a directory to another one: {wrong}"


@pytest.mark.requires("hard-links")
def test_names_of_one_file_both_stay(mounted: Scratch) -> None:
    """A rename between two names of one file does nothing, and succeeds (rename(2), POSIX.1-2017 rename)."""
    promised = {
        "rename(a, b) of two names of one file": "done",
        "the names that are left": ["a", "b"],
        "the links of the file": 2,
        "what it holds": "1",
    }
    wrong = broken(mounted.call(renaming.names_of_one_file), promised)
    assert not wrong, wrong


@pytest.mark.requires("hard-links")
def test_replaced_file_lives_on(mounted: Scratch) -> None:
    """A replaced file lives on by its other name or for who has it open, with a link less (rename(2), POSIX.1-2017)."""
    promised = {
        "links of a file that was replaced while it was open": 0,
        "what that reads after a write(2) to it": "44",
        "what its name holds": "3",
        "links of the replaced file's other name": 1,
        "what that holds": "2",
        "the names that are left": ["kept", "old", "opened"],
    }
    wrong = broken(mounted.call(renaming.victim_with_another_name), promised)
    assert not wrong, f"rename(2) over a name: {wrong}"


def test_odd_rename_is_answered(mounted: Scratch) -> None:
    """`.`, `..`, a slash behind a name, a child and its parent: an error that says so, and nothing lost (rename(2))."""
    promised = {name: tuple(wanted.split()) for name, (_, wanted) in renaming.ODD.items()}
    seen = mounted.call(renaming.odd)
    wrong = broken(seen, {**promised, "the tree": "dir/ dir/child/ dir/inner=2 file=1 renamed/"})
    assert not wrong, wrong


def test_replaced_name_is_never_missing(mounted: Scratch) -> None:
    """Who opens a name that is being replaced finds the old file or the new, whole (rename(2), POSIX.1-2017 rename)."""
    promised = {"what came of the other process": "done", "times that it was missing": 0, "times that it was empty": 0}
    wrong = broken(mounted.call(renaming.atomic, 200), promised)
    assert not wrong, f"200 renames over a name that another process opens: {wrong}"


def test_renames_may_cross(mounted: Scratch) -> None:
    """Two that rename between two directories in opposite directions both end, and lose nothing (rename(2))."""
    promised = {
        "what came of them": ["done", "done"],
        "left": "one-dir/ one-dir/file=1 one=1",
        "right": "two-dir/ two-dir/file=2 two=2",
        "links of the two": ([3], [1]),
    }
    wrong = broken(mounted.call(renaming.crossing, 60), promised)
    assert not wrong, f"two processes that rename between two directories: {wrong}"
