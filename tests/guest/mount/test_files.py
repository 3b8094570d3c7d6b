"""Content of regular files."""

from __future__ import annotations

import pytest
from inside import files
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# Around the borders of a page and of what inodes point to directly, with single and with double indirection.
SIZES = [0, 1, 4095, 4096, 4097, 49_153, 4_243_457]


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(files.errors)


@pytest.mark.parametrize("attempt", files.ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """Programs decide by the errno."""
    assert outcome[attempt] == files.ERRORS[attempt][1]


@pytest.fixture(scope="module")
def reread(mounted: Scratch) -> dict[str, list[int | None]]:
    """For each size, how many bytes read after a remount, and the place of the first that is wrong."""
    return mounted.call(files.reread, SIZES)


@pytest.mark.parametrize("size", SIZES)
def test_content_is_what_was_written(reread: dict[str, list[int | None]], size: int) -> None:
    """From the device, after the caches were dropped with the mount."""
    assert reread[str(size)] == [size, None]


def test_big_file_keeps_its_content(mounted: Scratch) -> None:
    """20 MiB of noise in which every block is told from every other."""
    found = mounted.call(files.big_file, seconds=120)
    assert found == [[], 0], "which MiB read otherwise than written, and what follows them"


def test_file_is_appended_to(mounted: Scratch) -> None:
    """In three steps, with a remount between: the size on disk counts, not the one in memory."""
    assert mounted.call(files.append) == "onetwothree"


def test_middle_is_overwritten(mounted: Scratch) -> None:
    """A write across the border of two blocks leaves what is around it."""
    assert mounted.call(files.overwrite_the_middle) == "a" * 4094 + "BBBB" + "a" * (12288 - 4098)


def test_rewriting_replaces(mounted: Scratch) -> None:
    """A shorter content over a longer one; nothing of the old is behind it."""
    assert mounted.call(files.rewrite) == [5, "short"]


def test_deleted_file_stays_deleted(mounted: Scratch) -> None:
    """Also when another name was made after it."""
    assert mounted.call(files.delete) == [False, False, "y"]


def test_file_without_a_name_can_be_read(mounted: Scratch) -> None:
    """Its blocks belong to whoever has it open, though other files are written meanwhile."""
    assert mounted.call(files.read_without_a_name) == [False, "mine"]
