"""Content of regular files."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import files
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import listed, quoted

pytestmark = pytest.mark.requires("read-write")

# Around the borders of a page and of what inodes point to directly, with single and with double indirection.
SIZES = [0, 1, 4095, 4096, 4097, 49_153, 4_243_457]
BIG = 20  # MiB


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    return mounted.call(files.errors)


@pytest.mark.parametrize("attempt", files.ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """A call that fails says so by the errno that is documented: programs decide by it."""
    wanted = files.ERRORS[attempt][1]
    assert outcome[attempt] == wanted, f"{attempt}: {outcome[attempt]}, expected {wanted}"


@pytest.fixture(scope="module")
def reread(mounted: Scratch) -> dict[str, dict[str, list[Any]]]:
    """For each size, how many bytes read after a remount, and the place of the first that is wrong."""
    return mounted.call(files.reread, SIZES)


@pytest.mark.parametrize("size", SIZES)
def test_content_is_what_was_written(reread: dict[str, dict[str, list[Any]]], size: int) -> None:
    """Content is read back from the device, after the caches were dropped with the mount."""
    if refused := reread["refused"].get(str(size)):
        came, wrong = refused
        assert not wrong, wrong
        pytest.skip(f"a file of {size} bytes is refused with {came}, which is taken for the filesystem's limit")
    found, where = reread["read"][str(size)]
    assert found == size, f"{size} bytes were written to a file, {found} read after a remount"
    assert where is None, f"of {size} bytes of a file, the first that reads otherwise after a remount is at {where}"


def test_big_file_keeps_its_content(mounted: Scratch) -> None:
    """A file of noise, in which every block is told from every other, reads back whole."""
    size, wrong, more = mounted.call(files.big_file, BIG, 60, seconds=150)
    assert not wrong, (
        f"of a file of {size} bytes, these MiB read otherwise after a remount than written: {listed(wrong)}"
    )
    assert not more, f"{size} bytes were written to a file, and after a remount it has {size + more}"


def test_file_is_appended_to(mounted: Scratch) -> None:
    """A file is appended to in three steps, with a remount between: the size on disk counts, not that in memory."""
    content = mounted.call(files.append)
    assert content == "onetwothree", (
        f"appended to in three steps, the file reads {quoted(content)}, expected onetwothree"
    )


def test_middle_is_overwritten(mounted: Scratch) -> None:
    """A write across the border of two blocks leaves what is around it."""
    wanted, found = mounted.call(files.overwrite_the_middle)
    assert len(found) == len(wanted), f"a file of {len(wanted)} bytes has {len(found)} after its middle was overwritten"
    place = next((place for place, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), None)
    assert place is None, (
        f"4 bytes were overwritten across the border of two blocks; byte {place} reads otherwise after it"
    )


def test_rewriting_replaces(mounted: Scratch) -> None:
    """A shorter content replaces a longer one, and nothing of the old one is behind it."""
    size, content = mounted.call(files.rewrite)
    assert (size, content) == (5, "short"), (
        f"5 bytes written over a longer file that was opened with O_TRUNC: it has {size}, and reads {quoted(content)}"
    )


def test_deleted_file_stays_deleted(mounted: Scratch) -> None:
    """A removed file is gone after a remount, also when another name was made after it."""
    at_once, later, other = mounted.call(files.delete)
    assert not at_once, "a file that was unlinked is still there"
    assert not later, "a file that was unlinked is there again after a remount"
    assert other == "y", f"the file that was made after it reads {quoted(other)} after a remount, expected y"


def test_file_without_a_name_can_be_read(mounted: Scratch) -> None:
    """A removed file's blocks belong to whoever has it open, though other files are written meanwhile."""
    has_name, content = mounted.call(files.read_without_a_name)
    assert not has_name, "a file that was unlinked while it was open still has its name"
    assert content == "mine", f"an open file without a name reads {quoted(content)}, expected mine"
