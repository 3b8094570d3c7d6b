"""Names of files."""

from __future__ import annotations

import pytest
from inside import names
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

NAMES = [
    "a",
    "two words",
    "naïve-名前-🗂",
    "-rf",
    "new\nline",
    'it\'s "quoted"',
    "back\\slash",
    "...",
    "*",
    "trailing. ",
]


@pytest.fixture(scope="module")
def listing(mounted: Scratch) -> list[list[str]]:
    """All of them, made in one directory, as it is listed after a remount: each name, and the content of its file."""
    return mounted.call(names.listing, NAMES)


@pytest.mark.requires("directories")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_name_is_kept(listing: list[list[str]], name: str) -> None:
    """A filesystem takes any bytes but slash and NUL; the name is listed once, and leads to its file."""
    assert [content for found, content in listing if found == name] == [name]


@pytest.mark.requires("directories")
def test_nothing_else_is_listed(listing: list[list[str]]) -> None:
    """No name that nobody made."""
    assert {found for found, _ in listing} == set(NAMES)


def test_longest_name_is_kept(mounted: Scratch) -> None:
    """As long as statfs says that names may be."""
    assert mounted.call(names.longest) == ["long", [0]]


def test_longer_name_is_refused(mounted: Scratch) -> None:
    """With ENAMETOOLONG, and not by cutting it: two names must not become one."""
    assert mounted.call(names.longer) == ["ENAMETOOLONG", "ENAMETOOLONG", []]
