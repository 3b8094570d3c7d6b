"""Directories as getdents64(2) tells them: kinds, numbers, positions, and entries that come and go meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vexlab.guest.inside import coming_and_going, listing
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write", "directories")

COUNT = 300  # entries; a listing of them takes a dozen calls with a small buffer
NOTHING_WRONG: dict[str, list[str]] = {"left out": [], "listed more than once": []}


@pytest.fixture(scope="module")
def kinds(target: Target, mounted: Scratch) -> dict[str, list[int]]:
    """Each entry of a directory with something of all kinds, and of its dots; nothing if directories are unclaimed."""
    return mounted.call(listing.kinds, target.capabilities) if "directories" in target.capabilities else {}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.requires(*needs.split())) for kind, (_, needs) in listing.MAKERS.items()],
)
def test_kind_and_number_are_listed(kinds: dict[str, list[int]], kind: str) -> None:
    """d_type is the type that lstat(2) tells, or DT_UNKNOWN, and d_ino its inode (readdir(3), POSIX.1-2017 readdir)."""
    if kind not in kinds and not listing.MAKERS[kind][1]:
        pytest.skip(f"the filesystem makes no {kind}")
    assert kind in kinds, f"the {kind} is not listed"
    told, real, number, inode = kinds[kind]
    assert told in (0, real), f"d_type of a {kind} is {told}, lstat(2) says {real}"
    assert number == inode, f"d_ino of a {kind} is {number}, st_ino is {inode}"


def test_dots_are_listed_right(kinds: dict[str, list[int]]) -> None:
    """`.` and `..`, if listed, are directories, with the inodes they lead to (readdir(3), POSIX.1-2017 readdir)."""
    for name in set(listing.DOTS) & set(kinds):
        told, real, number, inode = kinds[name]
        assert told in (0, real), f"d_type of {name} is {told}, lstat(2) says {real}"
        assert number == inode, f"d_ino of {name} is {number}, st_ino is {inode}"


COMING_AND_GOING: dict[str, Callable[[Filesystem, int], dict[str, list[str]]]] = {
    "what is listed is removed": coming_and_going.while_removed,
    "others are made and removed": coming_and_going.while_others_go,
    "what is listed is renamed": coming_and_going.while_renamed,
    "another process works in it": coming_and_going.while_another_works,
}


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(name, marks=pytest.mark.requires("rename") if "renamed" in name else ())
        for name in COMING_AND_GOING
    ],
)
def test_entry_that_stays_is_listed_once(mounted: Scratch, meanwhile: str) -> None:
    """However others come and go while a directory is read, each that stays is seen once (POSIX.1-2017 readdir)."""
    seen = mounted.call(COMING_AND_GOING[meanwhile], COUNT)
    wrong = broken(seen, {**NOTHING_WRONG, **({"still there": []} if "still there" in seen else {})})
    assert not wrong, f"getdents64(2) of {COUNT} entries while {meanwhile}: {wrong}"


def test_position_leads_back(mounted: Scratch) -> None:
    """From d_off of an entry on come the same others; from 0 on come all, new ones too (telldir(3), rewinddir(3))."""
    seen = mounted.call(listing.positions, COUNT)
    wrong = broken(seen, dict.fromkeys(seen, True))
    assert not wrong, wrong


def test_position_from_nowhere_does_no_harm(mounted: Scratch) -> None:
    """One that was never told is refused, or entries come that are there, and an end (lseek(2), seekdir(3))."""
    wrong = mounted.call(listing.from_nowhere, 40)
    told = "; ".join(f"{where}: {what}" for where, what in wrong.items())
    assert not wrong, f"getdents64(2) in a directory of 40 entries: {told}"


def test_small_buffer_loses_no_entry(mounted: Scratch) -> None:
    """EINVAL where the next entry has no room, and the next call gets it (getdents(2))."""
    seen = mounted.call(listing.too_small)
    promised = {
        "a buffer of 24 bytes before a longer entry": "EINVAL",
        "how much longer the names are that a larger gets": [0],
    }
    wrong = broken(seen, promised)
    assert not wrong, wrong


def test_nothing_is_made_in_a_removed_directory(mounted: Scratch) -> None:
    """One that is open, or where somebody is, has no entries and takes none when it is removed (rmdir(2), open(2))."""
    promised = {
        "names that it lists": [],
        "open(2) with O_CREAT in it": "ENOENT",
        "mkdir(2) in it": "ENOENT",
        "symlink(2) in it": ("ENOENT", "EPERM"),
        "its links": (0, 1),
        "getcwd(2) in it": "ENOENT",
    }
    wrong = broken(mounted.call(listing.gone), promised)
    assert not wrong, f"a directory that was removed while it was open: {wrong}"


def test_many_directories_are_counted(mounted: Scratch) -> None:
    """Two and one for each, as many as there are; or 1 by a filesystem that doesn't count (stat(2))."""
    for when, (made, links, listed) in mounted.call(listing.many_children, COUNT, seconds=120).items():
        assert listed == made, f"a directory of {made} directories, {when}: {listed} are listed"
        assert links in (made + 2, 1), f"a directory of {made} directories, {when}: st_nlink is {links}"
