"""Ways of data to the disk: mapped memory, and what was synced."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import data
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write")


@pytest.mark.requires("mmap")
def test_mapped_memory_reaches_the_disk(mounted: Scratch) -> None:
    """What is stored through a shared mapping is in the file: databases and linkers write that way."""
    seen = mounted.call(data.mapped_memory)
    at_once = seen["read at once"]
    assert at_once == "across pages", f"stored through a mapping and synced by msync: read(2) gives {quoted(at_once)}"
    assert seen["mapped again"], "stored through a mapping: mapped again after a remount, the file has other bytes"
    assert seen["read again"], "stored through a mapping: read again after a remount, the file has other bytes"


@pytest.mark.needs("device")
@pytest.mark.requires("sync", "persistent")
@pytest.mark.parametrize("way", data.SYNCS)
def test_synced_file_is_on_the_device(mounted: Scratch, twin: Scratch, way: str) -> None:
    """The device as it is at that moment, with the filesystem still mounted, is what a power cut would leave."""
    twin.create_blank()
    times = mounted.call(data.sync_and_copy, way, way, twin.device)
    try:
        found = twin.call(data.read_in_a_mount, way)
        assert len(found) == times * len(way), (
            f"{times * len(way)} bytes were written and {way} done, and a copy of the device has {len(found)} of them"
        )
        assert not found.replace(way, ""), f"{way} was done, and on a copy of the device the file has other bytes"
    finally:
        mounted.mount()


@pytest.mark.needs("device")
@pytest.mark.requires("sync", "persistent")
def test_sync_has_the_device_write_down_its_cache(mounted: Scratch) -> None:
    """A disk keeps what it was given in a cache, and a power cut takes that (block/writeback_cache_control.rst)."""
    if mounted.on_device:
        pytest.skip("the scratch filesystem is on a mapping of the device under test, which has no count of its own")
    seen = mounted.call(data.flushes)
    if not seen:
        pytest.skip("the device has no cache to write down")
    silent = [sync for sync, times in seen.items() if not times]
    assert not silent, f"the device was not told to write down its cache by {'; nor by '.join(silent)}"
