"""Writes that return when the device has them."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import opening
from vexlab.guest.testing.scratch import Scratch

pytestmark = [pytest.mark.needs("device"), pytest.mark.requires("read-write", "sync", "persistent")]

SIZE = 60_000  # bytes that are written at once: several blocks, and no end of one


@pytest.fixture(scope="module")
def synchronous(mounted: Scratch, twin: Scratch) -> dict[str, str]:
    """What of the files that were written synchronously is on a copy of the device taken right then."""
    mounted.call(opening.write_synchronously, twin.device, SIZE)
    try:
        return twin.call(opening.found_on_the_copy, SIZE)
    finally:
        mounted.mount()


@pytest.mark.parametrize("way", opening.SYNCHRONOUS)
def test_synchronous_write_is_on_the_device(synchronous: dict[str, str], way: str) -> None:
    """When the write has returned the device has data and size, whatever becomes of the machine (open(2))."""
    assert synchronous[way] == "done", (
        f"write(2) of {SIZE} bytes with {way}, then a copy of the device: on that are {synchronous[way]}"
    )
