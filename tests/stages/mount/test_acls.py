"""POSIX ACLs."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import acls
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories", "acls")


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt to set an ACL that can't be."""
    return mounted.call(acls.errors)


@pytest.mark.parametrize("attempt", acls.ERRORS)
def test_what_cannot_be_is_refused(mounted: Scratch, outcome: dict[str, str], attempt: str) -> None:
    """An ACL that can't be is refused, and the file keeps what it had (acl(5), "VALID ACLs")."""
    wanted = acls.ERRORS[attempt][1]
    assert outcome[attempt] in wanted.split(" or "), f"{attempt}: expected {wanted}, came {outcome[attempt]}"
    left = mounted.call(acls.left_by_errors)
    assert left == ["640", "ENODATA"], f"a file of mode 640 without an ACL was left with mode and ACL {left}"


def test_it_is_kept(mounted: Scratch) -> None:
    """Each entry is there, at once and on the disk; the group's bits of the mode are the mask (acl(5))."""
    found = mounted.call(acls.kept)
    wanted = [acls.ONE, "660"] * 2
    assert found == wanted, (
        f"ACL {acls.ONE} of a file of mode 600: expected {wanted} (ACL and mode, twice), came {found}"
    )


def test_mask_and_mode_follow_each_other(mounted: Scratch) -> None:
    """chmod changes the mask, an ACL without more than a mode is the mode alone (acl(5), "CORRESPONDENCE")."""
    seen = mounted.call(acls.mask_and_mode)
    promised = {
        "chmod": ["604", "u::rw- u:1000:rw- g::r-- m::--- o::r--"],
        "minimal": ["751", "ENODATA"],
        "removed": ["660", "ENODATA"],
    }
    # A filesystem may keep an ACL that says no more than the mode.
    seen["minimal"][1] = seen["minimal"][1].replace("u::rwx g::r-x o::--x", "ENODATA")
    wrong = broken(seen, promised)
    assert not wrong, f"mode and ACL of a file with {acls.ONE}, after chmod 604, after a minimal ACL, removed: {wrong}"


def test_default_acl_is_inherited(mounted: Scratch) -> None:
    """New files and directories get it, in place of the umask; directories hand it on (acl(5), "OBJECT CREATION")."""
    seen = mounted.call(acls.inherited)
    promised = {
        "parent": ["750", "ENODATA", acls.FOR_NEW],
        "parent/file": ["660", "u::rw- u:1000:rwx g::r-x m::rw- o::---", "ENODATA"],
        "parent/directory": ["770", acls.FOR_NEW, acls.FOR_NEW],
    }
    wrong = broken(seen, promised)
    assert not wrong, (
        f"mode, ACL and default ACL, of a directory with the default ACL {acls.FOR_NEW} and in it: {wrong}"
    )


@pytest.mark.requires("permissions")
def test_it_is_enforced(mounted: Scratch) -> None:
    """An ACL lets in whom it names, and nobody else (acl(5), "ACCESS CHECK ALGORITHM")."""
    named, other = mounted.call(acls.enforced)
    assert named == "done", f"open(2) by user 1000, whom the ACL lets read: expected done, came {named}"
    assert other == "EACCES", f"open(2) by user 1001, whom nothing lets read: expected EACCES, came {other}"


def test_new_file_has_none(mounted: Scratch) -> None:
    """An ACL goes with its file (acl(5))."""
    found = mounted.call(acls.gone)
    assert not found, f"new files have ACLs of files that were removed: {', '.join(found)}"
