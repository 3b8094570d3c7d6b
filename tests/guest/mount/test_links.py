"""Hard and symbolic links."""

from __future__ import annotations

import pytest
from guest import Lab
from inside import links as inside_links
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

LENGTHS = [1, 59, 60, 255, 1000]


@pytest.mark.requires("hard-links", "directories")
def test_hard_link_is_the_same_file(mounted: Scratch) -> None:
    """One inode, three names in two directories, and a count that says so; what goes in by one comes out by another."""
    assert mounted.call(inside_links.three_names) == [1, [3], "one two"]


@pytest.mark.requires("hard-links")
def test_content_stays_until_the_last_name_is_gone(mounted: Scratch) -> None:
    """A count that is off by one frees blocks that a name still leads to."""
    assert mounted.call(inside_links.last_name) == [1, "kept", False]


@pytest.mark.requires("hard-links")
def test_link_over_a_name_is_refused(mounted: Scratch) -> None:
    """link(2) never replaces."""
    assert mounted.call(inside_links.link_over_a_name) == ["EEXIST", "ENOENT", "y"]


@pytest.fixture(scope="module")
def links(lab: Lab, mounted: Scratch) -> dict[str, list[int | str]]:
    """Links of all lengths, as they are after a remount: size and target of each. None if unclaimed."""
    wanted = {f"length-{length}": target(length) for length in LENGTHS if "symbolic-links" in lab.capabilities}
    return mounted.call(inside_links.symbolic_links, wanted)


def target(length: int) -> str:
    """A target of so many bytes."""
    return ("0123456789/" * 100)[:length]


@pytest.mark.requires("symbolic-links")
@pytest.mark.parametrize("length", LENGTHS)
def test_symbolic_link_keeps_its_target(links: dict[str, list[int | str]], length: int) -> None:
    """Short ones are often kept in the inode, long ones in a block; the border between them is where it breaks."""
    assert links[f"length-{length}"][1] == target(length)


@pytest.mark.requires("symbolic-links", "symbolic-link-sizes")
@pytest.mark.parametrize("length", LENGTHS)
def test_size_of_a_symbolic_link_is_its_targets(links: dict[str, list[int | str]], length: int) -> None:
    """Programs allocate that much before they call readlink(2)."""
    assert links[f"length-{length}"][0] == length


@pytest.mark.requires("symbolic-links", "directories")
def test_symbolic_link_is_followed(mounted: Scratch) -> None:
    """To a file, through a directory; one that leads nowhere says so."""
    assert mounted.call(inside_links.follow) == ["content", "content", "nowhere", "ENOENT"]


@pytest.mark.requires("symbolic-links")
def test_loop_of_symbolic_links_is_told(mounted: Scratch) -> None:
    """With ELOOP, in finite time."""
    assert mounted.call(inside_links.ring) == "ELOOP"


@pytest.mark.requires("symbolic-links")
def test_removing_a_link_leaves_its_target(mounted: Scratch) -> None:
    """And the link is gone from the disk."""
    assert mounted.call(inside_links.remove_a_link) == [False, "kept"]
