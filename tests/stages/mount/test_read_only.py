"""A read-only mount reads everything and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.inside import read_only as inside_read_only
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import listed, quoted

pytestmark = [pytest.mark.needs("lasting"), pytest.mark.requires("read-write")]


@pytest.fixture(scope="module")
def read_only(scratch: Scratch) -> Iterator[Scratch]:
    """A filesystem with something in it, mounted read-only."""
    before = scratch.call(inside_read_only.begin)
    yield scratch
    after = scratch.call(inside_read_only.end)
    claimed = "read-only-writes-nothing" in scratch.target.capabilities
    assert after == before or not claimed, "the device changed under a read-only mount"


@pytest.fixture(scope="module")
def outcome(read_only: Scratch) -> dict[str, str]:
    """What came of each attempt to write."""
    return read_only.call(inside_read_only.writes)


@pytest.mark.parametrize("write", inside_read_only.WRITES)
def test_write_is_refused(outcome: dict[str, str], write: str) -> None:
    """Each way to change something must say EROFS, and not go into a cache that is never written."""
    assert outcome[write] == "EROFS", f"{write} under a read-only mount: {outcome[write]}, expected EROFS"


def test_content_reads(read_only: Scratch) -> None:
    """Content reads as before: what a read-only mount refused has changed nothing."""
    content, names = read_only.call(inside_read_only.content)
    there = ["empty", "file"] if "directories" in read_only.target.capabilities else ["file"]
    assert content == "content", f"writes were refused, and the file reads {quoted(content)}, expected content"
    assert names == there, f"writes were refused, and these names are there: {listed(names)}; expected {listed(there)}"


@pytest.mark.requires("read-only-writes-nothing")
@pytest.mark.needs("device")
def test_device_is_left_alone(read_only: Scratch) -> None:
    """Evidence on a damaged disk must not change because somebody looked at it, not even to be changed back later."""
    before, after = read_only.call(inside_read_only.look_at_everything)
    assert after == before, "sectors were written under a read-only mount"
