"""The tests that the target brings along for its mounted filesystem."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import OWN_SECONDS, READ_ONLY_PHASE, Guest, Lab
from scratch import Scratch


@pytest.fixture
def fresh(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A mounted filesystem for one check alone."""
    if lab.phase == READ_ONLY_PHASE:
        pytest.skip("phase 1 is read-only, and the target's own checks may write")
    resource = Scratch(guest, lab, "own")
    try:
        resource.create()
        resource.mount()
        yield resource
    finally:
        resource.remove()


@pytest.mark.timeout(2 * OWN_SECONDS + 60)
def test_of_the_target(guest: Guest, lab: Lab, fresh: Scratch, own_check: dict[str, str]) -> None:
    """Its command must succeed; so must its second one, if there is one, after a remount."""
    variables = {"VARIANT": lab.variant, "MOUNT": fresh.point}
    guest.ok(lab.in_build(own_check["command"], variables), seconds=OWN_SECONDS)
    if "command_after_remount" in own_check:
        fresh.remount()
        guest.ok(lab.in_build(own_check["command_after_remount"], variables), seconds=OWN_SECONDS)
