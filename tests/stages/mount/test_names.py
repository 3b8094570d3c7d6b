"""Names of files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vexlab.guest.inside import name_edges, names
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.words import listed, quoted

pytestmark = pytest.mark.requires("read-write")

# None has more than 11 bytes.
NAMES = ["a", "two words", "é名🗂", "-rf", "new\nline", 'it\'s "q"', "back\\slash", "...", "*", "trailing. "]
PORTABLE = ["a", "-rf"]  # of characters that POSIX has every filesystem take; a dot at the end is dropped by some


@pytest.fixture(scope="module")
def listing(mounted: Scratch) -> dict[str, Any]:
    """All of them, made in one directory, as it is listed after a remount: each name, and the content of its file."""
    return mounted.call(names.listing, NAMES if "any-names" in mounted.target.capabilities else PORTABLE)


@pytest.mark.requires("directories")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=ascii(name), marks=[pytest.mark.requires("any-names")] * (name not in PORTABLE))
        for name in NAMES
    ],
)
def test_name_is_kept(listing: dict[str, Any], name: str) -> None:
    """A filesystem takes any bytes but slash and NUL; the name is listed once, and leads to its file."""
    came = listing["refused"].get(name, "done")
    assert came == "done", f"a file named {quoted(name)} is made: {came}"
    contents = [content for found, content in listing["listed"] if found.lower() == name.lower()]
    assert len(contents) == 1, f"a file named {quoted(name)} is listed {len(contents)} times after a remount"
    assert contents == [name], (
        f"a file named {quoted(name)} holds another's content after a remount, {quoted(contents[0])}"
    )


@pytest.mark.requires("directories")
def test_nothing_else_is_listed(listing: dict[str, Any]) -> None:
    """A listing has no name that nobody made."""
    known = {name.lower() for name in NAMES}
    strange = [quoted(name) for name, _ in listing["listed"] if name.lower() not in known]
    assert not strange, f"listed, and nobody made it: {listed(strange)}"


def test_longest_and_longer_name(mounted: Scratch) -> None:
    """At the limit a name is kept, beyond it is ENAMETOOLONG and no cut: two names must not become one."""
    wrong = mounted.call(name_edges.wrong_with, "bytes")
    assert not wrong, "; ".join(wrong)


def test_statfs_tells_the_longest_name(mounted: Scratch, claim: Callable[[str, bool, str], None]) -> None:
    """f_namelen is what programs allocate, and what they cut names to."""
    wrong = mounted.call(name_edges.statfs_of_names)
    claim("statfs", not wrong, wrong)


def test_characters_of_a_name(mounted: Scratch) -> None:
    """Of characters that take several bytes, a name has as many as the target says, and no more."""
    if "name_characters" not in mounted.target.limits:
        pytest.skip("the target names no limit of characters (vexlab_limits, name_characters)")
    wrong = mounted.call(name_edges.wrong_with, "characters")
    assert not wrong, "; ".join(wrong)


def test_case_of_names(mounted: Scratch) -> None:
    """Names that differ in case alone are two or one, and never both: else a file hides another."""
    wrong = mounted.call(name_edges.wrong_with, "case")
    assert not wrong, "; ".join(wrong)
