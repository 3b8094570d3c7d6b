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


def mkfs_is_refused(guest: Guest, lab: Lab, scratch: Scratch, *, mkfs: str = "") -> None:
    """mkfs ends with an error, and the image is byte for byte what it was."""
    before = scratch.digest()
    guest.refuses(mkfs or lab.mkfs(scratch.device))
    assert scratch.digest() == before, "mkfs refused the device, but wrote to it"


@pytest.mark.requires("mkfs-refuses-mounted")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(guest: Guest, lab: Lab, scratch: Scratch, force: bool) -> None:
    """Formatting under a mount destroys data that is in use; force is for signatures, not for this."""
    scratch.create()
    scratch.mount(lab.mount_options_ro)
    mkfs_is_refused(guest, lab, scratch, mkfs=lab.mkfs(scratch.device, force=force))
    scratch.unmount()


@pytest.mark.requires("mkfs-refuses-mounted", "read-write")
def test_mounted_device_keeps_its_files(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """The same with a filesystem that is being written."""
    scratch.create()
    scratch.mount()
    guest.ok(f"echo precious >{scratch.point}/file")
    guest.refuses(lab.mkfs(scratch.device))
    scratch.remount()
    assert guest.ok(f"cat {scratch.point}/file; umount {scratch.point}") == "precious"


@pytest.mark.requires("mkfs-refuses-mounted")
def test_busy_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A disk can be in use without being mounted: a volume manager or swap has it."""
    scratch.create_blank()
    mkfs_is_refused(
        guest, lab, scratch, mkfs=shlex.join(["python3", "-c", HOLD, scratch.device, lab.mkfs(scratch.device)])
    )
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
    mkfs_is_refused(guest, lab, scratch)
    if lab.mkfs_force_command:
        scratch.format_again()
        guest.ok(f"{scratch.mount_command()}; umount {scratch.point}")


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_device_that_is_too_small(guest: Guest, lab: Lab, scratch: Scratch, size: int) -> None:
    """Nothing fits on it; a mkfs that doesn't ask writes beyond the end or leaves half a filesystem."""
    scratch.create_blank(size)
    mkfs_is_refused(guest, lab, scratch)


def test_read_only_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """mkfs must notice that it can't write, and not report success."""
    scratch.create_blank(read_only=True)
    mkfs_is_refused(guest, lab, scratch)


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
