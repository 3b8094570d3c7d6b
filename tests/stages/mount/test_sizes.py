"""Sizes and offsets: large ones, the largest, holes, room that is taken, and what is behind the end."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import sizes
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write")


@pytest.fixture(scope="module")
def far(target: Target, mounted: Scratch) -> dict[str, list[Any]]:
    """Three bytes at each place that is far away; nothing of a filesystem that fills what is before them."""
    return mounted.call(sizes.far) if "sparse-files" in target.capabilities else {}


@pytest.mark.requires("sparse-files")
@pytest.mark.parametrize("place", sizes.FAR)
def test_far_offset_is_kept_or_refused(far: dict[str, list[Any]], place: int) -> None:
    """Beyond 2 and 4 GiB: written where it was asked, or EFBIG and nothing; never elsewhere (pwrite(2), lseek(2))."""
    came, at_once, later = far[str(place)]
    what = f"pwrite(2) of 3 bytes at {place}"
    assert came in ("done", "EFBIG"), f"{what}: expected done or EFBIG, came {came}"
    right = [place + 3, "far", []] if came == "done" else [0, "", []]
    for when, (size, found, other) in (("", at_once), (" after a remount", later)):
        said = f"{what} came to {came}, then{when}"
        assert size == right[0], f"{said} st_size is {size}, expected {right[0]}"
        assert found == right[1], f"{said} pread(2) there gives {quoted(found)}, expected {quoted(right[1])}"
        assert not other, f"{said} the file isn't zero at {other}, where nothing was written"


@pytest.mark.requires("sparse-files", "truncate")
def test_largest_file_ends_where_it_says(mounted: Scratch) -> None:
    """To the largest size a file can be cut, read and kept; what is beyond it is told (truncate(2), write(2))."""
    seen = mounted.call(sizes.at_the_limit)
    limit = seen.pop("limit")
    promised = {
        "st_size after ftruncate(2) to the limit": limit,
        "pread(2) of the last byte": "done",
        "pread(2) in the middle": "done",
        "pwrite(2) behind the limit": ("EFBIG", "EINVAL", "EOVERFLOW"),
        "pwrite(2) of the last byte": ("done", "EFBIG"),
        "st_size then": limit,
        "st_size after a remount": limit,
    }
    if seen["pwrite(2) of the last byte"] == "done":
        promised["the last byte after a remount"] = "z"
    wrong = broken(seen, promised)
    assert not wrong, f"a file can be cut to {limit} bytes at most; there: {wrong}"


def test_room_that_is_taken_is_told(target: Target, mounted: Scratch) -> None:
    """st_blocks rises with what is written, not with what is written over, and falls with what is cut (stat(2))."""
    seen = mounted.call(sizes.room, "truncate" in target.capabilities)
    size, spare = seen.pop("size"), 64 << 10  # for what leads to the blocks, and blocks that are large
    if not seen["written"] and "sparse-files" not in target.capabilities:
        pytest.skip(f"the filesystem counts no blocks: st_blocks of a file of {size} bytes is 0")
    half = size // 2 if "truncate" in target.capabilities else size
    whole = {"written": size, "written over three times": size, "cut to half": half, "after a remount": half}
    for step, room in seen.items():
        low, high = whole.get(step, 0) * 7 // 8, whole.get(step, 0) * 5 // 4 + spare
        assert low <= room <= high, f"a file of {size} bytes, {step}: st_blocks says {room} bytes, not {low} to {high}"


@pytest.mark.requires("truncate")
def test_data_and_holes_are_told(mounted: Scratch) -> None:
    """SEEK_DATA finds all that was written, SEEK_HOLE none of it, and both end with the file (lseek(2))."""
    seen = mounted.call(sizes.holes)
    if "unsupported" in seen:
        pytest.skip("lseek(2) with SEEK_DATA says EINVAL: the filesystem doesn't tell")
    size, filled = seen.pop("size"), seen.pop("filled")
    for when, parts in zip(("at once", "after fsync(2)", "after a remount"), seen.pop("data"), strict=True):
        for begin in (0, size // 2):
            end = begin + filled
            within = any(low <= begin and end <= high for low, high in parts)
            assert within, f"{end - begin} bytes were written at {begin}; {when} SEEK_DATA and SEEK_HOLE tell {parts}"
    promised = {
        "SEEK_DATA at the end": "ENXIO",
        "SEEK_HOLE at the end": "ENXIO",
        "SEEK_DATA beyond the end": "ENXIO",
        "SEEK_HOLE in a file without a hole": 4000,
        "SEEK_DATA in it": 5,
    }
    wrong = broken(seen, promised)
    assert not wrong, f"lseek(2): {wrong}"


@pytest.fixture(scope="module")
def grown(target: Target, mounted: Scratch) -> dict[str, list[Any]]:
    """Files that were cut and grow: size, and bytes behind the cut that aren't zero, at once and after a remount."""
    return mounted.call(sizes.behind_the_end) if "truncate" in target.capabilities else {}


@pytest.mark.requires("truncate")
@pytest.mark.parametrize("way", sizes.GROWN)
def test_what_was_cut_does_not_come_back(grown: dict[str, list[Any]], way: str) -> None:
    """Behind the old end are zeros, not what was there before, on disk too (truncate(2), POSIX.1-2017 write)."""
    _, size, filled = sizes.GROWN[way]
    if way not in grown:
        pytest.skip(f"a file can't have {size} bytes")
    for when, seen in zip(("at once", "after a remount"), grown[way], strict=True):
        assert seen[0] == size, f"cut to 5,000, then {way}: {when} {seen[0]} bytes, expected {size}"
        more = seen[1] - filled
        assert not more, f"cut to 5,000 and read from disk, then {way}: {when} {more} bytes behind 5,000 aren't zero"
