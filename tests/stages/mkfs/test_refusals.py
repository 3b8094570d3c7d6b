"""What mkfs must leave alone, down to the last byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.inside import mkfs
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


@pytest.fixture(scope="module")
def blank(guest: Guest, target: Target) -> Iterator[Scratch]:
    """An image on a loop device, without a filesystem; removed with everything on it."""
    resource = Scratch(guest, target)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.mark.requires("mkfs-refuses-mounted")
def test_busy_device(guest: Guest, target: Target, blank: Scratch) -> None:
    """A disk can be in use without being mounted: a volume manager or swap has it."""
    blank.create_blank()
    blank.mkfs_is_refused(held=True)
    guest.ok(target.mkfs(blank.device), seconds=120)  # nothing else was wrong with it


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", ["ext4", "own"])
def test_device_that_carries_a_filesystem(guest: Guest, target: Target, blank: Scratch, kind: str) -> None:
    """The wrong letter in a device's name must cost a message and not a disk; what is forced is done."""
    if kind == "own":
        blank.create()
    else:
        blank.create_blank()
        guest.ok(f"mke2fs -q -F -t ext4 {blank.device}")
    blank.mkfs_is_refused()
    if target.mkfs_force_command:
        blank.format_again()
        found = blank.magic()
        assert found == target.superblock_magic.lower(), f"mkfs was forced, and where the magic should be is {found}"


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_device_that_is_too_small(blank: Scratch, size: int) -> None:
    """Nothing fits on it; a mkfs that doesn't ask writes beyond the end or leaves half a filesystem."""
    blank.create_blank(size)
    blank.mkfs_is_refused()


def test_read_only_device(blank: Scratch) -> None:
    """mkfs must notice that it can't write, and not report success."""
    blank.create_blank(read_only=True)
    blank.mkfs_is_refused()


def test_missing_device(target: Target, blank: Scratch) -> None:
    """A typing error must not become a regular file under /dev."""
    path = f"{blank.point}/missing"
    command = target.mkfs(path, second_of=blank.device)
    *ended, left = blank.call(mkfs.on_what_is_no_disk, path, "nothing", command)
    target.mkfs_refused(command, ended)
    assert left == "nothing", f"mkfs of a path where nothing was left there something of type {left}"


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        pytest.param("directory", "d", id="mkdir-directory"),
        pytest.param("character device", "c", id="mknod -m 600-character special file"),
    ],
)
def test_what_is_no_disk(target: Target, blank: Scratch, what: str, kind: str) -> None:
    """A directory or a terminal is refused, and stays what it is."""
    path = f"{blank.point}/corruptible"
    command = target.mkfs(path, second_of=blank.device)
    *ended, left = blank.call(mkfs.on_what_is_no_disk, path, what, command)
    target.mkfs_refused(command, ended)
    assert left == kind, f"mkfs of a {what} left there something of type {left}, expected {kind}"
