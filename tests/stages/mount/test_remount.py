"""mount -o remount."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import remount
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write", "remount")


def test_read_only_and_back(mounted: Scratch) -> None:
    """A remount stops writes, and another lets them go on: so administrators do without a reboot."""
    steps = {
        "mode after remount,ro": "ro", "open for writing": "EROFS", "mkdir": "EROFS", "the file reads": "before ",
        "mode after remount,rw": "rw", "the file reads after a write and a remount": "before after",
    }  # fmt: skip
    found = mounted.call(remount.read_only_and_back)
    for (step, wanted), came in zip(steps.items(), found, strict=True):
        assert came == wanted, f"{step}: {quoted(came)}, expected {quoted(wanted)}"


@pytest.mark.requires("read-only-writes-nothing")
@pytest.mark.needs("device")
def test_becoming_read_only_writes_what_is_dirty(mounted: Scratch) -> None:
    """After it the device can be copied or switched off; nothing more is written, and nothing was left in memory."""
    before, after, found = mounted.call(remount.become_read_only)
    assert after == before, "after a remount read-only was done, the unmount still wrote to the device"
    assert found == "dirty", f"written before a remount read-only, the file reads {quoted(found)} after it"


def test_refused_while_a_file_is_open_for_writing(mounted: Scratch) -> None:
    """A remount to read-only is refused while a file is open for writing: its writer would lose what it writes."""
    refused, wrote = mounted.call(remount.with_an_open_file)
    assert refused == "EBUSY", f"remount read-only with a file open for writing: {refused}, expected EBUSY"
    assert wrote == "done", f"the remount was refused, and a write after it: {wrote}"


def test_option_that_nobody_knows(mounted: Scratch) -> None:
    """A remount with a typing error in an option is refused, and the mount stays as it was (mount(2), EINVAL)."""
    came, wrote = mounted.call(remount.with_an_unknown_option)
    assert came == "EINVAL", f"remount with an option that nobody knows: expected EINVAL, came {came}"
    assert wrote == "done", f"a write after the remount that was refused: expected done, came {wrote}"
