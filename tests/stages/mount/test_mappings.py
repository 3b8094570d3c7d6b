"""Mapped memory, the page cache and the disk: three views of one file."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import mappings
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write")

MAPPED = pytest.mark.requires("mmap", "truncate")


@pytest.mark.requires("mmap")
def test_mapping_read_and_write_agree(mounted: Scratch) -> None:
    """A store is read at once, a write is in the mapping at once, both are on the disk (mmap(2), MAP_SHARED)."""
    read, mapped, written, later = mounted.call(mappings.with_read_and_write)
    assert read == "mmap", f"read(2) after a store of 'mmap': {quoted(read)}"
    assert mapped == "mmap", f"another mapping after a store of 'mmap': {quoted(mapped)}"
    assert written == "write", f"a mapping after write(2) of 'write': {quoted(written)}"
    assert later == "mmapwrite", f"after msync(2) and a remount, expected 'mmapwrite', came {quoted(later)}"


@pytest.mark.requires("mmap")
def test_private_store_stays_private(mounted: Scratch) -> None:
    """What is stored through MAP_PRIVATE is not in the file (mmap(2), MAP_PRIVATE)."""
    found = mounted.call(mappings.private)
    assert found == ["mine", "...."], f"a private mapping and its file after a store of 'mine' over '....': {found}"


@MAPPED
def test_pages_behind_the_end_are_no_memory(mounted: Scratch) -> None:
    """SIGBUS behind the page that has the file's end, and no growth by a store (mmap(2), "SIGBUS")."""
    promised = {
        "load in the last page, behind the end": "done",
        "load in the first page behind the last": "EFAULT",
        "store in the first page behind the last": "EFAULT",
        "size": "5000",
    }
    wrong = broken(mounted.call(mappings.beyond_the_end), promised)
    assert not wrong, f"a mapping of three pages of a file of 5,000 bytes (EFAULT: SIGBUS): {wrong}"


@MAPPED
def test_rest_of_the_last_page_is_zero_and_not_written(mounted: Scratch) -> None:
    """The rest of a file's last page reads as zeros; a store there gets nowhere, file or disk (mmap(2), NOTES)."""
    before, size, after, on_device = mounted.call(mappings.tail)
    assert not before, f"{before} bytes behind the end of a file aren't zero in its last page"
    assert size == 5000, f"stores behind the end of a file of 5,000 bytes made it {size} bytes long"
    assert not after, f"{after} bytes that were stored behind the end are in the file when it grows, after a remount"
    assert not on_device, "what was stored behind the end of the file is on the device"


@MAPPED
def test_mapping_follows_a_truncate(mounted: Scratch) -> None:
    """What was cut off is gone for the mapping too, and zeros when the file grows again (truncate(2), mmap(2))."""
    promised = {
        "before": "done",
        "in the last page, not zero": 0,
        "load in a page that was cut off": "EFAULT",
        "grown again, load there": "done",
        "grown again, not zero": 0,
        "in front of the cut": True,
    }
    wrong = broken(mounted.call(mappings.cut_and_grown), promised)
    assert not wrong, f"a mapping of four pages, cut in the second one (EFAULT: SIGBUS): {wrong}"


@pytest.mark.requires("mmap", "timestamps")
def test_store_moves_the_times(mounted: Scratch) -> None:
    """mtime and ctime are updated after a store, before msync returns (mmap(2), NOTES)."""
    modified, changed = mounted.call(mappings.times_of_a_store)
    assert modified > 1000, "a file with mtime 1000 was stored into through a mapping, and msync(2): its mtime stayed"
    assert changed >= 0, f"ctime went back by {-changed} s"


@pytest.mark.requires("mmap", "truncate", "sparse-files")
def test_store_into_a_hole_is_kept(mounted: Scratch) -> None:
    """A hole gets its blocks when it is stored into, and the rest stays zero (mmap(2))."""
    at_once, later = mounted.call(mappings.holes)
    wanted = [[3 * mappings.PAGE, 1], [15 * mappings.PAGE + 5, 2]]
    assert at_once == wanted, f"bytes of the file that aren't zero (place, byte): expected {wanted}, came {at_once}"
    assert later == wanted, f"the same after a remount: expected {wanted}, came {later}"


@pytest.mark.requires("mmap")
def test_direct_and_cached_views_agree(target: Target, mounted: Scratch) -> None:
    """What goes past the page cache is seen through it, and the reverse; or EINVAL at open (open(2), O_DIRECT)."""
    seen = mounted.call(mappings.direct)
    if list(seen) == ["open"]:
        came = seen["open"]
        assert came in ("EINVAL", "EOPNOTSUPP"), f"open(2) with O_DIRECT: expected done or EINVAL, came {came}"
        pytest.skip(f"this filesystem has no direct I/O: {came}")
    promised = {
        "open": "done",
        "a direct read of what write(2) wrote": "c",
        "read(2) of a direct write": "d",
        "a mapping of a direct write": "cm",
        "a direct read of a write(2) over a direct write": "w",
        "a direct write behind the end": "5 pages, e",
        "a direct read at the end": "0 bytes",
        "after a remount": "cwmce",
    }
    wrong = broken(seen, promised)
    assert not wrong, f"O_DIRECT, in pages: {wrong}"
