"""The tests that the target brings along for its build."""

from __future__ import annotations

import pytest
from guest import OWN_SECONDS, Guest, Lab


@pytest.mark.timeout(OWN_SECONDS + 60)
def test_of_the_target(guest: Guest, lab: Lab, own_check: dict[str, str]) -> None:
    """Its command must succeed in the tree that was built."""
    guest.ok(lab.in_build(own_check["command"], {"VARIANT": lab.variant}), seconds=OWN_SECONDS)
