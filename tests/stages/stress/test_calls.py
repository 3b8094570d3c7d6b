"""Calls in thousands: what each of them keeps adds up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from vexlab.guest.inside import repeated
from vexlab.guest.testing import accounting
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write", "directories")


def guilty(calls: Sequence[str], grown: Callable[[Sequence[str]], list[str]]) -> str:
    """The one of these calls that something grows by, or one of several."""
    while len(calls) > 1:
        half = len(calls) // 2
        calls = calls[:half] if grown(calls[:half]) else calls[half:]
    return calls[0]


def test_calls_in_thousands_leave_nothing(guest: Guest, target: Target, part: Scratch) -> None:
    """A buffer, an inode or a piece of memory that one call forgets is lost until the next boot (slabinfo(5))."""
    part.unmount()

    def grown(calls: Sequence[str]) -> list[str]:
        def turn(_cycles: int) -> None:
            part.call(repeated.turn, calls, target.capabilities, seconds=120)

        return accounting.grown(partial(accounting.look, guest, target), 2 * repeated.LEAST, turn)

    calls = repeated.claimed(target.capabilities)
    found = grown(calls)
    by = f"{repeated.TIMES} times in each of {repeated.PLACES} directories"
    assert not found, f"{guilty(calls, grown)}, {by}: {'; '.join(found)}"
