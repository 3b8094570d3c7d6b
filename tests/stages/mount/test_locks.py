"""Locks, leases, and who watches: what one process learns of another by a file."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import locks as inside_locks
from vexlab.guest.inside import watching
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


@pytest.fixture(scope="module")
def locks(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt to lock what is locked."""
    return mounted.call(inside_locks.look)


@pytest.mark.parametrize("attempt", inside_locks.TRIES)
def test_lock_holds(locks: dict[str, str], attempt: str) -> None:
    """One has it and others wait, or there are no such locks, with an errno (fcntl(2), flock(2))."""
    kind, wanted = inside_locks.TRIES[attempt]
    if kind in locks:
        refused = " or ".join(inside_locks.REFUSED)
        assert locks[kind] in inside_locks.REFUSED, (
            f"{kind}, first lock: expected done or {refused}, came {locks[kind]}"
        )
        pytest.skip(f"this filesystem has no locks of kind {kind}: {locks[kind]}")
    came = locks.get(attempt, "nothing")
    assert came in wanted.split(" or "), f"{attempt}: expected {wanted}, came {came}"


def test_lease_is_broken_by_who_opens(mounted: Scratch) -> None:
    """The holder of a lease gets a signal and the opener EAGAIN, or leases are refused (fcntl(2), "Leases")."""
    taken, opened, heard = mounted.call(inside_locks.lease)
    if taken != "done":
        allowed = (*inside_locks.REFUSED, "EAGAIN")
        assert taken in allowed, f"F_SETLEASE: expected done or {' or '.join(allowed)}, came {taken}"
        pytest.skip(f"this filesystem has no leases: {taken}")
    assert opened == "EAGAIN", f"open(2) with O_NONBLOCK of a file with a write lease: expected EAGAIN, came {opened}"
    assert heard == "a signal", f"the holder of a lease that is broken: expected a signal, came {heard}"


@pytest.mark.requires("directories", "rename")
def test_watcher_is_told(mounted: Scratch) -> None:
    """Of each thing that happens in a directory, once and in order (inotify(7))."""
    told = mounted.call(watching.look)
    assert told == watching.WATCHED, f"inotify told {', '.join(told)}; expected {', '.join(watching.WATCHED)}"
