"""What mkfs must leave alone, down to the last byte."""

from __future__ import annotations

import shlex

import pytest
from guest import Guest, Lab
from scratch import Scratch

# Opens a device for itself alone, as a volume manager, swap or a mount would, and runs mkfs meanwhile.
HOLD = """
import os, subprocess, sys
os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
sys.exit(subprocess.run(["sh", "-euc", sys.argv[2]]).returncode)
"""


@pytest.mark.requires("mkfs-refuses-mounted")
def test_busy_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A disk can be in use without being mounted: a volume manager or swap has it."""
    scratch.create_blank()
    scratch.mkfs_is_refused(shlex.join(["python3", "-c", HOLD, scratch.device, lab.mkfs(scratch.device)]))
    guest.ok(lab.mkfs(scratch.device), seconds=120)  # nothing else was wrong with it


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", ["ext4", "own"])
def test_device_that_carries_a_filesystem(guest: Guest, lab: Lab, scratch: Scratch, kind: str) -> None:
    """The wrong letter in a device's name must cost a message and not a disk; what is forced is done."""
    if kind == "own":
        scratch.create()
    else:
        scratch.create_blank()
        guest.ok(f"mke2fs -q -F -t ext4 {scratch.device}")
    scratch.mkfs_is_refused()
    if lab.mkfs_force_command:
        scratch.format_again()
        assert scratch.magic() == lab.superblock_magic.lower()


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_device_that_is_too_small(guest: Guest, lab: Lab, scratch: Scratch, size: int) -> None:
    """Nothing fits on it; a mkfs that doesn't ask writes beyond the end or leaves half a filesystem."""
    scratch.create_blank(size)
    scratch.mkfs_is_refused()


def test_read_only_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """mkfs must notice that it can't write, and not report success."""
    scratch.create_blank(read_only=True)
    scratch.mkfs_is_refused()


def test_missing_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A typing error must not become a regular file under /dev."""
    path = f"{scratch.point}/missing"
    guest.refuses(lab.mkfs(path))
    guest.ok(f"[ ! -e {path} ]")


@pytest.mark.parametrize(("make", "kind"), [("mkdir", "directory"), ("mknod -m 600", "character special file")])
def test_what_is_no_disk(guest: Guest, lab: Lab, scratch: Scratch, make: str, kind: str) -> None:
    """A directory or a terminal is refused, and stays what it is."""
    path = f"{scratch.point}/victim"
    try:
        guest.ok(f"{make} {path} {'c 1 3' if kind.startswith('char') else ''}")
        guest.refuses(lab.mkfs(path))
        assert guest.ok(f"stat -c %F {path}") == kind
    finally:
        guest.ok(f"rm -rf {path}")
