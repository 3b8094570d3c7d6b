"""Names in each call that takes one, numbers of inodes, and what a new file begins with."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import lookups
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write", "directories")

NAMES = 300  # more than a byte can count


def test_odd_path_is_answered(mounted: Scratch) -> None:
    """`.`, `..`, nothing, a slash behind a name, a path that is too long (path_resolution(7), mkdir(2), rmdir(2))."""
    promised = {name: tuple(wanted.split()) for name, (_, wanted) in lookups.ODD.items()}
    wrong = broken(mounted.call(lookups.odd), promised)
    assert not wrong, wrong


def test_longest_name_is_the_same_for_each_call(target: Target, mounted: Scratch) -> None:
    """What statvfs(3) tells is kept by each call, a byte more is ENAMETOOLONG and never cut (POSIX.1-2017 limits.h)."""
    seen = mounted.call(lookups.lengths, target.capabilities)
    promised = {call: ["done", [0]] if "the longest" in call else ["ENAMETOOLONG", []] for call in seen}
    wrong = broken(seen, promised)
    assert not wrong, f"what came of it, and by how much the names that are left are longer than that: {wrong}"


def test_names_that_are_alike_stay_apart(mounted: Scratch) -> None:
    """Names that differ in one byte, or in length, are different files, whichever are removed (unlink(2), open(2))."""
    seen = mounted.call(lookups.alike)
    wrong = broken(seen, {kind: [] for kind in seen})
    assert not wrong, f"names that differ in their first or last byte or in length: {wrong}"


def test_inode_number_tells_files_apart(mounted: Scratch) -> None:
    """Hard links, backups and NFS go by st_ino: its own for each file (stat(2), inode(7))."""
    seen = mounted.call(lookups.numbers, 100)
    wrong = broken(seen, dict.fromkeys(seen, True))
    assert not wrong, f"inode numbers of 100 files: {wrong}"


@pytest.mark.requires("timestamps")
def test_new_file_begins_anew(target: Target, mounted: Scratch) -> None:
    """A new file's mode, owner, size, times and links are its own, whatever had its inode (open(2), mkdir(2))."""
    seen = mounted.call(lookups.begin, target.capabilities, 300)
    wrong = broken(seen, {kind: [] for kind in seen})
    assert not wrong, f"made where others were removed: {wrong}"


@pytest.mark.requires("hard-links")
def test_many_links_are_counted(mounted: Scratch) -> None:
    """Each name counts one, after a remount too; where no more can be made it is EMLINK (link(2), stat(2))."""
    for when, (names, links, listed) in zip(("", " after a remount", " when the others are removed"),
                                            mounted.call(lookups.many_names, NAMES), strict=True):  # fmt: skip
        assert listed == names, f"a file of {names} names{when}: {listed} are listed"
        assert links == names, f"a file of {names} names{when}: st_nlink is {links}"


@pytest.mark.requires("symbolic-links")
def test_long_symbolic_link_is_kept_or_refused(mounted: Scratch) -> None:
    """Up to 4,095 bytes, or as many as the filesystem has room for; beyond that ENAMETOOLONG, not cut (symlink(2))."""
    seen = mounted.call(lookups.long_links)
    right = (["done", True, True], ["ENAMETOOLONG"], ["EINVAL"])
    wrong = broken({f"symlink(2) of {length} bytes": came for length, came in seen.items()},
                   {f"symlink(2) of {length} bytes": right for length in seen})  # fmt: skip
    assert not wrong, f"what came of it, and whether readlink(2) tells the same at once and after a remount: {wrong}"
