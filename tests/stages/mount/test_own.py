"""The tests that the target brings along for its mounted filesystem."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import OWN_SECONDS, READ_ONLY_PHASE, Target


@pytest.fixture
def fresh(guest: Guest, target: Target) -> Iterator[Scratch]:
    """A mounted filesystem for one check alone."""
    if target.phase == READ_ONLY_PHASE:
        pytest.skip("phase 1 is read-only, and the target's own checks may write")
    resource = Scratch(guest, target, "own")
    try:
        resource.create()
        resource.mount()
        yield resource
    finally:
        resource.remove()


@pytest.mark.timeout(2 * OWN_SECONDS + 60)
def test_of_the_target(guest: Guest, target: Target, fresh: Scratch, own_check: dict[str, str]) -> None:
    """The command that the target file gives succeeds, and after a remount its second one, if there is one."""
    variables = {"VARIANT": target.variant, "MOUNT": fresh.point}
    guest.ok(target.in_build(own_check["command"], variables), seconds=OWN_SECONDS)
    if "command_after_remount" in own_check:
        fresh.remount()
        guest.ok(target.in_build(own_check["command_after_remount"], variables), seconds=OWN_SECONDS)
