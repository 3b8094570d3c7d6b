"""What mode, owner and group of files and directories let others do, and what of them a change takes away."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import rights
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "permissions", "directories")


@pytest.fixture(scope="module")
def set_id(mounted: Scratch) -> dict[str, Any]:
    """What is left of the bits of files of 06777: at once, and after a remount."""
    return mounted.call(rights.set_id_bits)


@pytest.mark.parametrize("when", ["at once", "after a remount"])
def test_changed_file_loses_its_set_id_bits(set_id: dict[str, Any], when: str) -> None:
    """What another writes or cuts, or gets another owner, is no set-user-ID program any more (chown(2), write(2))."""
    promised = {
        "written": "0777",
        "cut": "0777",
        "emptied": "0777",
        "given": "0777",
        "given-own": "0777",
        "no-exec": ("2767", "0767"),
        "given-dir": "6777",
    }
    place = 0 if when == "at once" else 1
    wrong = broken(
        {name: modes[place] if isinstance(modes, list) else modes for name, modes in set_id.items()}, promised
    )
    assert not wrong, f"mode of a file of 06777 that was changed, {when}: {wrong}"


@pytest.mark.requires("symbolic-links")
def test_set_group_id_is_inherited_and_kept_from_others(mounted: Scratch) -> None:
    """A directory with setgid gives its group; nobody makes a program of a group he isn't in (chmod(2), inode(7))."""
    promised = {
        "chmod(2) to 02755 of one's own file of another group": "0755",
        "open(2) with 02755 in a directory with setgid": "0755",
        "group of a file that is made there": rights.GROUP,
        "group of a directory that is made there": rights.GROUP,
        "the bit of that directory": "2777",
        "group of a symbolic link that is made there": rights.GROUP,
        "owner of what is made there": rights.NOBODY,
    }
    wrong = broken(mounted.call(rights.group_bit), promised)
    assert not wrong, wrong


def test_attributes_belong_to_the_owner(mounted: Scratch) -> None:
    """Owner, mode and times are the owner's to set, within limits (chown(2), chmod(2), utimensat(2), truncate(2))."""
    promised = {
        "chown(2) of one's own file to another": "EPERM",
        "chown(2) of one's own file to a group one is in": "done",
        "chown(2) of one's own file to a group one isn't in": "EPERM",
        "chown(2) of another's file": "EPERM",
        "chmod(2) of another's file": "EPERM",
        "utimensat(2) of another's writable file, to a time": "EPERM",
        "utimensat(2) of another's writable file, to now": "done",
        "utimensat(2) of another's closed file, to now": "EACCES",
        "truncate(2) of another's closed file": "EACCES",
        "mode and owner of another's file": ["0666", 0],
    }
    wrong = broken(mounted.call(rights.ownership), promised)
    assert not wrong, f"somebody who isn't root: {wrong}"


def test_bits_of_the_right_class_count(mounted: Scratch) -> None:
    """The owner's for the owner, the group's for its members, else the others' (path_resolution(7), access(2))."""
    promised = {
        "open(2) for reading: owner-out": "EACCES",
        "open(2) for reading: group-in": "done",
        "open(2) for reading: group-out": "EACCES",
        "open(2) for reading: others-in": "done",
        "open(2) for writing: group-in": "EACCES",
        "open(2) in a directory without x": "EACCES",
        "listing of a directory without r": "EACCES",
        "open(2) in a directory without r": "done",
        "access(2) for execution of a file without x": False,
    }
    wrong = broken(mounted.call(rights.classes), promised)
    assert not wrong, f"somebody who isn't root: {wrong}"


@pytest.mark.requires("rename")
def test_sticky_directory_protects(mounted: Scratch) -> None:
    """In a directory of 1777 only owners remove and rename; else who can write to it (unlink(2), rename(2))."""
    promised = {
        "unlink(2) of another's file in 1777": "EPERM",
        "rename(2) of another's file in 1777": "EPERM",
        "rename(2) over another's file in 1777": "EPERM",
        "unlink(2) of one's own file in 1777": "done",
        "unlink(2) of another's file in 0777": "done",
        "unlink(2) of another's file in one's own directory of 1755": "done",
    }
    wrong = broken(mounted.call(rights.sticky), promised)
    assert not wrong, f"somebody who isn't root: {wrong}"


def test_mode_counts_from_the_next_open(mounted: Scratch) -> None:
    """Who makes a file with mode 0 writes to it; the mode is for who opens it later (open(2))."""
    promised = {
        "write(2) by who made it with mode 0": "done",
        "open(2) of it by its owner": "EACCES",
        "open(2) of it by root": "done",
        "its mode": "0000",
    }
    wrong = broken(mounted.call(rights.made_without_rights), promised)
    assert not wrong, wrong


@pytest.mark.requires("mmap")
def test_program_runs(mounted: Scratch) -> None:
    """A program on the filesystem runs with x, and not without (execve(2))."""
    promised = {"execve(2) of a copy of sleep(1)": "done", "execve(2) of one without x": "EACCES"}
    seen = mounted.call(rights.program)
    if "unsupported" in seen:
        pytest.skip(seen["unsupported"])
    wrong = broken(seen, promised)
    assert not wrong, wrong


@pytest.mark.requires("symbolic-links")
def test_owner_and_group_are_set_apart(mounted: Scratch) -> None:
    """-1 leaves an owner or a group as it is, and lchown(2) is of the link, not of what it leads to (chown(2))."""
    promised = {
        "owner and group of 11:22 after chown(2) to 33:-1": [33, 22],
        "owners of file and link after chown(2) to -1:44 and lchown(2) to 55:66": [33, 44, 55, 66],
        "after a remount": [33, 44, 55, 66],
        "mode of the file": "0604",
    }
    wrong = broken(mounted.call(rights.parts), promised)
    assert not wrong, wrong


def test_flags_and_generation_belong_to_the_owner(mounted: Scratch) -> None:
    """Who may only read a file doesn't change them, where there are any (ioctl_iflags(2), "EPERM")."""
    refused = ("EPERM", "EACCES", "ENOTTY", "EOPNOTSUPP", "EINVAL", "ENOSYS")
    seen = mounted.call(rights.of_the_owner)
    wrong = broken(seen, dict.fromkeys(("FS_IOC_SETFLAGS", "FS_IOC_SETVERSION"), refused))
    assert not wrong, f"on a file of root's, by somebody who may read it: {wrong}"
