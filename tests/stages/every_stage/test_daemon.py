"""The program that runs as long as the target's module is loaded."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import daemon
from vexlab.guest.testing.guest import Guest

BEFORE = ("structure", "build")  # it is started when the module is loaded


@pytest.mark.needs("daemon")
def test_it_runs(guest: Guest, stage: str) -> None:
    """The target's program still runs: what a filesystem does without it says nothing of the filesystem."""
    if stage in BEFORE:
        pytest.skip("the daemon is started in stage load")
    found = guest.call(daemon.state)
    assert found == "running", found
