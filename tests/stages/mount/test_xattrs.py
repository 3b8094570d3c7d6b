"""Extended attributes."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import xattrs
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories", "xattrs")


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(xattrs.errors)


@pytest.mark.parametrize("attempt", xattrs.ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """What can't be set, found, removed or held says why, and the size that it takes (setxattr(2), getxattr(2))."""
    wanted = xattrs.ERRORS[attempt][1]
    assert outcome[attempt] in wanted.split(" or "), f"{attempt}: expected {wanted}, came {outcome[attempt]}"


@pytest.mark.usefixtures("outcome")
def test_refused_calls_left_the_attributes(mounted: Scratch) -> None:
    """A call that fails changes nothing (setxattr(2))."""
    left = mounted.call(xattrs.left_by_errors)
    assert left == {"user.there": "b'old'"}, f"of a file with user.there=old, calls that were refused left {left}"


@pytest.fixture(scope="module")
def kept(mounted: Scratch) -> dict[str, list[str]]:
    """Each value of a file and of a directory, at once and after a remount."""
    return mounted.call(xattrs.keep)


@pytest.mark.parametrize("value", xattrs.VALUES)
@pytest.mark.parametrize("what", ["file", "directory"])
def test_value_is_kept(kept: dict[str, list[str]], what: str, value: str) -> None:
    """A value is any bytes, none as well, at once and on the disk (xattr(7))."""
    found = kept[f"{'kept' if what == 'file' else 'kept-dir'} {value}"]
    assert found == ["right", "right"], f"a value {value} of a {what}, at once: {found[0]}; after a remount: {found[1]}"


def test_attributes_change_and_go(mounted: Scratch) -> None:
    """A value is replaced whole, a removed one is gone, and they are the file's, whatever its name (setxattr(2))."""
    at_once, later = mounted.call(xattrs.change)
    wanted = {"user.replaced": "b'new'", "user.value": "b'cut'"}
    assert at_once == wanted, f"set, replaced and removed: expected {wanted}, came {at_once}"
    assert later == wanted, f"renamed, and after a remount: expected {wanted}, came {later}"


def test_other_namespace_works_or_is_refused(mounted: Scratch) -> None:
    """What was taken in `trusted.` or `security.` is kept; else it is EOPNOTSUPP, or EPERM (xattr(7))."""
    for name, (came, *values) in mounted.call(xattrs.other_namespaces).items():
        assert came in ("done", "EOPNOTSUPP", "EPERM"), f"setxattr of {name}: came {came}"
        assert set(values) <= {"right"}, f"setxattr of {name} was done; at once and after a remount it is {values}"


def test_large_value_is_kept_or_refused(mounted: Scratch) -> None:
    """A value that has no room is refused, and then the one before is still there (setxattr(2), ENOSPC and E2BIG)."""
    for size, (came, value, other) in mounted.call(xattrs.large).items():
        what = f"setxattr of a value of {size} bytes: {came}" if size.isdigit() else size
        assert came in ("done", *xattrs.NO_ROOM), f"{what}; expected done or {' or '.join(xattrs.NO_ROOM)}"
        assert value == "right", f"{what}; then the value is {value}"
        assert other == "right", f"{what}; then another attribute is {other}"


def test_each_of_many_is_listed(mounted: Scratch) -> None:
    """All names that were set are listed once, those that were refused are not (listxattr(2))."""
    came, taken, lost, strange, wrong = mounted.call(xattrs.many)
    assert came in ("done", *xattrs.NO_ROOM), f"setxattr of one of 40 small attributes, when {taken} were there: {came}"
    assert not lost, f"of {taken} attributes that were set, listxattr(2) leaves out {', '.join(lost)}"
    assert not strange, f"listxattr(2) has {', '.join(strange)}, which nobody has set"
    assert not wrong, f"of {taken} attributes that were set, these have another value: {', '.join(wrong)}"


def test_new_file_has_none(mounted: Scratch) -> None:
    """Attributes go with their file; whoever gets its inode doesn't get its secrets (xattr(7))."""
    found = mounted.call(xattrs.of_new_files)
    assert not found, f"new files have attributes of files that were removed: {'; '.join(found[:5])}"
    found = mounted.call(xattrs.of_new_files_after_a_remount)
    assert not found, f"after a remount, new files have attributes of removed ones: {'; '.join(found)}"
