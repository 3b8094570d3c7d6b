"""A test on a device: the lab's own filesystem, which has all of it."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import whole_device
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import READ_ONLY_PHASE, Target


@pytest.fixture(autouse=True)
def _on_a_device(target: Target) -> None:
    if not target.device:
        pytest.skip("no device is tested")


def test_reading_writes_nothing(guest: Guest, target: Target) -> None:
    """In the read-only phase, mkfs is all that wrote to the device."""
    if target.phase != READ_ONLY_PHASE:
        pytest.skip(f"phase {target.phase} is not read-only")
    arguments = (target.device, target.mount_point, target.filesystem_type, target.mount_options())
    assert guest.call(whole_device.sectors_written_by_reading, *arguments, seconds=120) == 0, (
        "sectors were written under a read-only mount"
    )


@pytest.mark.requires("read-write", "persistent")
def test_files_are_kept(guest: Guest, target: Target) -> None:
    """Files on the device itself, not on a part of it, are there after a remount."""
    arguments = (target.device, target.mount_point, target.filesystem_type, target.mount_options())
    assert guest.call(whole_device.files_that_change, *arguments, seconds=120) == [], "files changed over a remount"
