"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

from typing import Any

import pytest
from inside import truncate
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

CASE = pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, marks=pytest.mark.requires(case.capability) if case.capability else ())
        for name, case in truncate.CASES.items()
    ],
)


@pytest.fixture(scope="module")
def both(mounted: Scratch) -> list[dict[str, list[Any]]]:
    """What `lengths` says of the files, before and after a remount."""
    return mounted.call(truncate.make_all)


@pytest.fixture
def at_once(both: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The files as they are just after they were made."""
    return both[0]


@pytest.fixture
def remounted(both: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The files as they are on the device."""
    return both[1]


@CASE
def test_length_and_content_at_once(at_once: dict[str, list[Any]], case: str) -> None:
    """As it is in memory."""
    wanted = truncate.CASES[case]
    assert at_once[case][:3] == [wanted.length, wanted.length, wanted.filled]


@CASE
def test_length_and_content_after_a_remount(remounted: dict[str, list[Any]], case: str) -> None:
    """As it is on disk."""
    wanted = truncate.CASES[case]
    assert remounted[case][:3] == [wanted.length, wanted.length, wanted.filled]


@pytest.mark.requires("sparse-files")
def test_hole_takes_no_room(remounted: dict[str, list[Any]]) -> None:
    """16 MiB with one block of data."""
    assert 4096 <= remounted["with a hole"][3] < 1 << 20
