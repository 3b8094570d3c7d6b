"""mkfs and a device that is mounted. Here and not in stage mkfs, which says nothing of mounting."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch


@pytest.mark.requires("mkfs-refuses-mounted")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(guest: Guest, lab: Lab, scratch: Scratch, force: bool) -> None:
    """Formatting under a mount destroys data that is in use; force is for signatures, not for this."""
    scratch.create()
    scratch.mount(lab.mount_options_ro)
    scratch.mkfs_is_refused(lab.mkfs(scratch.device, force=force))
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
