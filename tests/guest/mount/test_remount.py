"""mount -o remount."""

from __future__ import annotations

import pytest
from inside import remount
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "remount")


def test_read_only_and_back(mounted: Scratch) -> None:
    """How an administrator stops writes without a reboot, and lets them go on."""
    found = mounted.call(remount.read_only_and_back)
    assert found == ["ro", "EROFS", "EROFS", "before ", "rw", "before after"]


@pytest.mark.needs("device")
def test_becoming_read_only_writes_what_is_dirty(mounted: Scratch) -> None:
    """After it the device can be copied or switched off; nothing more is written, and nothing was left in memory."""
    before, after, found = mounted.call(remount.become_read_only)
    assert [after, found] == [before, "dirty"]


def test_refused_while_a_file_is_open_for_writing(mounted: Scratch) -> None:
    """The writer would lose what it believes it can write."""
    assert mounted.call(remount.with_an_open_file) == ["EBUSY", "done"]
