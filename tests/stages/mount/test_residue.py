"""What was on the device before it was formatted."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import sizes
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = [pytest.mark.needs("device"), pytest.mark.requires("read-write", "truncate")]


def test_files_do_not_show_it(target: Target, scratch: Scratch) -> None:
    """What nobody wrote reads as zeros, whatever its blocks held before (truncate(2), POSIX.1-2017 write)."""
    scratch.create_blank()
    size = min(scratch.size, 24 << 20)
    seen = scratch.call(sizes.noise_below, target.mkfs(scratch.device, force=True), size, seconds=120)
    for name, states in seen.items():
        for when, (length, letters) in zip(("at once", "after a remount"), states, strict=True):
            assert not letters, (
                f"file `{name}` of {length} bytes, {when}: {letters} of them are what the device held before"
            )
