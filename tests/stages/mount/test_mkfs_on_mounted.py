"""mkfs and a device that is mounted. Here and not in stage mkfs, which says nothing of mounting."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import data
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted


@pytest.mark.requires("mkfs-refuses-mounted")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(target: Target, scratch: Scratch, force: bool) -> None:
    """Formatting under a mount destroys data that is in use; force is for signatures, not for this."""
    scratch.mount(target.mount_options_ro)
    try:
        scratch.mkfs_is_refused(target.mkfs(scratch.device, force=force))
    finally:
        scratch.unmount()


@pytest.mark.requires("mkfs-refuses-mounted", "read-write")
def test_mounted_device_keeps_its_files(guest: Guest, target: Target, scratch: Scratch) -> None:
    """mkfs on a mounted device that is being written is refused too, and each file is there afterwards."""
    scratch.call(data.mount_and_write, "file", "precious")
    try:
        guest.refuses(target.mkfs(scratch.device))
        content = scratch.call(data.read_after_a_remount, "file")
        assert content == "precious", (
            f"mkfs was refused on a mounted device, and a file reads {quoted(content)} after it"
        )
    finally:
        scratch.unmount()
