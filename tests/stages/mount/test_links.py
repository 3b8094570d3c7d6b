"""Hard and symbolic links."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import links as inside_links
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed, quoted

pytestmark = pytest.mark.requires("read-write")

LENGTHS = [1, 59, 60, 255, 1000]


@pytest.mark.requires("hard-links", "directories")
def test_hard_link_is_the_same_file(mounted: Scratch) -> None:
    """One inode, three names in two directories, and a count that says so; what goes in by one comes out by another."""
    inodes, counts, content = mounted.call(inside_links.three_names)
    assert inodes == 1, f"three names of a file lead to {inodes} inodes after a remount"
    assert counts == [3], f"st_nlink of a file with three names after a remount: {listed(counts)}"
    assert content == "one two", f"appended to by its second name, it reads {quoted(content)} by its third"


@pytest.mark.requires("hard-links")
def test_content_stays_until_the_last_name_is_gone(mounted: Scratch) -> None:
    """A count that is off by one frees blocks that a name still leads to."""
    count, content, is_left = mounted.call(inside_links.last_name)
    assert count == 1, f"one of a file's two names was removed, and its st_nlink is {count}"
    assert content == "kept", f"one of a file's two names was removed, and by the other it reads {quoted(content)}"
    assert not is_left, "both names of a file were removed, and the second is still there"


@pytest.mark.requires("hard-links")
def test_link_over_a_name_is_refused(mounted: Scratch) -> None:
    """link(2) over a name that is there is refused: it never replaces."""
    over, missing, content = mounted.call(inside_links.link_over_a_name)
    assert over == "EEXIST", f"link over a name that is there: {over}, expected EEXIST"
    assert missing == "ENOENT", f"link to a file that isn't there: {missing}, expected ENOENT"
    assert content == "y", f"link was refused, and the name that was in its way reads {quoted(content)}"


@pytest.fixture(scope="module")
def links(target: Target, mounted: Scratch) -> dict[str, dict[str, list[Any]]]:
    """Links of all lengths, as they are after a remount: size and target of each. None if unclaimed."""
    wanted = {f"length-{length}": text_of(length) for length in LENGTHS if "symbolic-links" in target.capabilities}
    return mounted.call(inside_links.symbolic_links, wanted)


def text_of(length: int) -> str:
    """A target of so many bytes."""
    return ("0123456789/" * 100)[:length]


def made(links: dict[str, dict[str, list[Any]]], length: int) -> list[Any]:
    """Size and target of a link; skips when a limit refused it."""
    if refused := links["refused"].get(f"length-{length}"):
        came, wrong = refused
        assert not wrong, wrong
        pytest.skip(f"symlink of {length} bytes is refused with {came}, which is taken for the filesystem's limit")
    return links["read"][f"length-{length}"]


@pytest.mark.requires("symbolic-links")
@pytest.mark.parametrize("length", LENGTHS)
def test_symbolic_link_keeps_its_target(links: dict[str, dict[str, list[Any]]], length: int) -> None:
    """Short ones are often kept in the inode, long ones in a block; the border between them is where it breaks."""
    found = str(made(links, length)[1])
    assert found == text_of(length), f"symlink of {length} bytes: readlink gives {quoted(found)} after a remount"


@pytest.mark.requires("symbolic-links", "symbolic-link-sizes")
@pytest.mark.parametrize("length", LENGTHS)
def test_size_of_a_symbolic_link_is_its_targets(links: dict[str, dict[str, list[Any]]], length: int) -> None:
    """Programs allocate that much before they call readlink(2)."""
    size = made(links, length)[0]
    assert size == length, f"symlink of {length} bytes: lstat gives a size of {size}"


@pytest.mark.requires("symbolic-links", "directories")
def test_symbolic_link_is_followed(mounted: Scratch) -> None:
    """A link leads to a file, also through a directory; one that leads nowhere says so."""
    file, through, target_of, came = mounted.call(inside_links.follow)
    assert file == "content", f"a link to a file reads {quoted(file)}"
    assert through == "content", f"a file by way of a link to its directory reads {quoted(through)}"
    assert target_of == "nowhere", f"readlink of a link to nowhere gives {quoted(target_of)}"
    assert came == "ENOENT", f"stat through a link to nowhere: {came}, expected ENOENT"


@pytest.mark.requires("symbolic-links")
def test_loop_of_symbolic_links_is_told(mounted: Scratch) -> None:
    """Links that lead in a circle are told with ELOOP, in finite time."""
    came = mounted.call(inside_links.ring)
    assert came == "ELOOP", f"stat through a link to itself: {came}, expected ELOOP"


@pytest.mark.requires("symbolic-links")
def test_removing_a_link_leaves_its_target(mounted: Scratch) -> None:
    """A link that is removed is gone from the disk, and what it led to stays."""
    is_left, content = mounted.call(inside_links.remove_a_link)
    assert not is_left, "a symbolic link was removed, and is there after a remount"
    assert content == "kept", f"a symbolic link was removed, and the file that it led to reads {quoted(content)}"
