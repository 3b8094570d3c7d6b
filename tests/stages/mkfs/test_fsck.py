"""The target's fsck: it looks, says what is so, and leaves everything as it is."""

from __future__ import annotations

import pytest

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.result import Result, refused
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.needs("fsck")


def test_fresh_filesystem_is_right(scratch: Scratch) -> None:
    """A fsck that isn't there, or that finds fault with what mkfs just made, says nothing of what comes later."""
    *ended, same = scratch.call(Filesystem.fsck_ended)
    done = Result(scratch.fsck, *ended)
    assert done.code == 0, f"on a fresh filesystem, vexlab_fsck_command ended with {done.code}: {done.said}"
    assert same, "vexlab_fsck_command was to look at a fresh filesystem, and changed it"


def test_device_of_zeros_is_not_right(scratch: Scratch) -> None:
    """A fsck that takes zeros for a filesystem would pass whatever it was shown."""
    scratch.create_blank()
    *ended, same = scratch.call(Filesystem.fsck_ended)
    refused(Result(scratch.fsck, *ended))
    assert same, "vexlab_fsck_command was to look at a device of zeros, and changed it"
