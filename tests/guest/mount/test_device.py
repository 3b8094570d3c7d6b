"""A test on a device: the lab's own filesystem, which has all of it."""

from __future__ import annotations

import pytest
from guest import READ_ONLY_PHASE, Guest, Lab
from inside import whole_device


@pytest.fixture(autouse=True)
def _on_a_device(lab: Lab) -> None:
    if not lab.device:
        pytest.skip("no device is tested")


def test_reading_writes_nothing(guest: Guest, lab: Lab) -> None:
    """In the read-only phase, mkfs is all that wrote to the device."""
    if lab.phase != READ_ONLY_PHASE:
        pytest.skip(f"phase {lab.phase} is not read-only")
    arguments = (lab.device, lab.mount_point, lab.filesystem_type, lab.mount_options())
    assert guest.call(whole_device.sectors_written_by_reading, *arguments, seconds=120) == 0, (
        "sectors were written under a read-only mount"
    )


@pytest.mark.requires("read-write", "persistent")
def test_files_are_kept(guest: Guest, lab: Lab) -> None:
    """On the device itself, not on a part of it."""
    arguments = (lab.device, lab.mount_point, lab.filesystem_type, lab.mount_options())
    assert guest.call(whole_device.files_that_change, *arguments, seconds=120) == [], "files changed over a remount"
