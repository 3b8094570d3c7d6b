"""Freezing and thawing, as before a snapshot of the device."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import freezing
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write")


def test_writes_wait_until_the_thaw(target: Target, mounted: Scratch) -> None:
    """A write waits and then goes on, a read doesn't; or it is refused (ioctl_fs FIFREEZE, fsfreeze(8))."""
    frozen = mounted.call(freezing.look, "mmap" in target.capabilities, seconds=90)
    if (came := frozen["freeze"]) != "done":
        allowed = " or ".join(freezing.REFUSED)
        assert came in freezing.REFUSED, f"FIFREEZE: expected done or {allowed}, came {came}"
        pytest.skip(f"this filesystem can't be frozen: {came}")
    promised = {
        "freeze": "done",
        "a second freeze": "EBUSY",
        "a read": "done",
        "statfs": "done",
        "a write, while it is frozen": "waits",
        "a store through a mapping, while it is frozen": "waits",
        "the thaw": "done",
        "the write, afterwards": "done",
        "the store, afterwards": "done",
        "a second thaw": "EINVAL",
        "what was written": "after",
        "what was stored": "mefore",
    }
    wrong = broken(frozen, {step: came for step, came in promised.items() if step in frozen})
    assert not wrong, f"FIFREEZE and FITHAW: {wrong}"
