"""The tests that the target brings along for its build."""

from __future__ import annotations

import pytest

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import OWN_SECONDS, Target


@pytest.mark.timeout(OWN_SECONDS + 60)
def test_of_the_target(guest: Guest, target: Target, own_check: dict[str, str]) -> None:
    """The command that the target file gives succeeds in the tree that was built."""
    guest.ok(target.in_build(own_check["command"], {"VARIANT": target.variant}), seconds=OWN_SECONDS)
