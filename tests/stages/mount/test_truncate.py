"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import truncate
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write")

CASE = pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, marks=pytest.mark.requires(case.capability) if case.capability else ())
        for name, case in truncate.CASES.items()
    ],
)


@pytest.fixture(scope="module")
def seen(target: Target, mounted: Scratch) -> dict[str, dict[str, Any]]:
    """What `lengths` should say of the files, and says before and after a remount."""
    claimed = [name for name, case in truncate.CASES.items() if case.capability in ("", *target.capabilities)]
    return mounted.call(truncate.make_all, claimed)


def is_right(seen: dict[str, dict[str, Any]], case: str, when: str) -> None:
    """Assert that a file has the length that it was given, and zeros where nothing was written."""
    assert case not in seen["refused"], f"a file {case}: {seen['refused'][case]}"
    length, filled = seen["wanted"][case]
    size, read, not_zero, _ = seen[when][case]
    assert size == length, f"a file {case} has a size of {size} {when}, expected {length}"
    assert read == length, f"a file {case} of {length} bytes reads {read} bytes {when}"
    assert not_zero == filled, f"a file {case} reads {not_zero} bytes that aren't zero {when}, expected {filled}"


@CASE
def test_length_and_content_at_once(seen: dict[str, dict[str, Any]], case: str) -> None:
    """Length and content are right at once, in memory."""
    is_right(seen, case, "at once")


@CASE
def test_length_and_content_after_a_remount(seen: dict[str, dict[str, Any]], case: str) -> None:
    """Length and content are right after a remount, on disk."""
    is_right(seen, case, "after a remount")


@pytest.mark.requires("sparse-files")
def test_hole_takes_no_room(seen: dict[str, dict[str, Any]]) -> None:
    """A file with a hole takes room for what was written, and not for its length."""
    assert "with a hole" not in seen["refused"], f"a file with a hole: {seen['refused']['with a hole']}"
    length, filled = seen["wanted"]["with a hole"]
    taken = seen["after a remount"]["with a hole"][3]
    if length < 1 << 20:
        pytest.skip(f"a file has {length} bytes at most, too few to tell a hole by the room that it takes")
    assert filled <= taken < length // 16, (
        f"a file of {length} bytes, of which {filled} are written: it takes {taken} bytes"
    )
