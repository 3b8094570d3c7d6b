"""Ways of data to the disk: mapped memory, and what was synced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from inside import data
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


@pytest.mark.requires("mmap")
def test_mapped_memory_reaches_the_disk(mounted: Scratch) -> None:
    """Databases and linkers write that way."""
    wanted = {"read at once": "across pages", "mapped again": True, "read again": True}
    assert mounted.call(data.mapped_memory) == wanted


@pytest.fixture
def twin(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, for a copy of the first."""
    resource = Scratch(guest, lab, "twin", on_image=True, whole=False)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.mark.needs("device")
@pytest.mark.requires("sync", "persistent")
@pytest.mark.parametrize("way", data.SYNCS)
def test_synced_file_is_on_the_device(mounted: Scratch, twin: Scratch, way: str) -> None:
    """The device as it is at that moment, with the filesystem still mounted, is what a power cut would leave."""
    name = f"by-{way}"
    mounted.call(data.sync_and_copy, name, way, twin.device)
    try:
        found = twin.call(data.read_in_a_mount, name)
        assert (len(found), found.replace(name, "")) == (10000 * len(name), "")
    finally:
        mounted.mount()
