"""What several modules of the stage need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


@pytest.fixture(scope="module")
def twin(guest: Guest, target: Target) -> Iterator[Scratch]:
    """A second device, for copies of the first."""
    if reason := target.lacks("device"):
        pytest.skip(reason)
    resource = Scratch(guest, target, "twin", on_image=True, whole=False)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()
