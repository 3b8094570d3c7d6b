"""What several modules of the stage need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch


@pytest.fixture(scope="module")
def twin(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, for copies of the first."""
    if reason := lab.lacks("device"):
        pytest.skip(reason)
    resource = Scratch(guest, lab, "twin", on_image=True, whole=False)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()
