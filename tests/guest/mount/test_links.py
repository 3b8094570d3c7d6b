"""Hard and symbolic links."""

from __future__ import annotations

import pytest
from guest import Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

LENGTHS = [1, 59, 60, 255, 1000]

MAKE_LINKS = """
targets = arguments[0]
for name, target in targets.items():
    os.symlink(target, name)
fs.remount()
answer({name: [os.lstat(name).st_size, os.readlink(name)] for name in targets})
"""


@pytest.mark.requires("hard-links", "directories")
def test_hard_link_is_the_same_file(mounted: Scratch) -> None:
    """One inode, three names in two directories, and a count that says so; what goes in by one comes out by another."""
    code = """
    os.mkdir("dir")
    write("first", "one ")
    os.link("first", "second")
    os.link("first", "dir/third")
    write("second", "two", "a")
    fs.remount()
    inodes = {os.stat(name).st_ino for name in ("first", "second", "dir/third")}
    counts = {os.stat(name).st_nlink for name in ("first", "second", "dir/third")}
    answer([len(inodes), sorted(counts), read("dir/third")])
    """
    assert mounted.run(code) == [1, [3], "one two"]


@pytest.mark.requires("hard-links")
def test_content_stays_until_the_last_name_is_gone(mounted: Scratch) -> None:
    """A count that is off by one frees blocks that a name still leads to."""
    code = """
    write("a", "kept")
    os.link("a", "b")
    os.unlink("a")
    write("other", bytes(1 << 20))
    fs.remount()
    found = [os.stat("b").st_nlink, read("b")]
    os.unlink("b")
    answer([*found, os.path.exists("b")])
    """
    assert mounted.run(code) == [1, "kept", False]


@pytest.mark.requires("hard-links")
def test_link_over_a_name_is_refused(mounted: Scratch) -> None:
    """link(2) never replaces."""
    code = """
    write("x", "x")
    write("y", "y")
    answer([attempt("os.link('x', 'y')"), attempt("os.link('missing', 'z')"), read("y")])
    """
    assert mounted.run(code) == ["EEXIST", "ENOENT", "y"]


@pytest.fixture(scope="module")
def links(lab: Lab, mounted: Scratch) -> dict[str, list[int | str]]:
    """Links of all lengths, as they are after a remount: size and target of each. None if unclaimed."""
    wanted = {f"length-{length}": target(length) for length in LENGTHS if "symbolic-links" in lab.capabilities}
    found: dict[str, list[int | str]] = mounted.run(MAKE_LINKS, wanted)
    return found


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
    code = """
    os.mkdir("real")
    write("real/file", "content")
    os.symlink("real/file", "s")
    os.symlink("real", "d")
    os.symlink("nowhere", "n")
    fs.remount()
    answer([read("s"), read("d/file"), os.readlink("n"), attempt("os.stat('n')")])
    """
    assert mounted.run(code) == ["content", "content", "nowhere", "ENOENT"]


@pytest.mark.requires("symbolic-links")
def test_loop_of_symbolic_links_is_told(mounted: Scratch) -> None:
    """With ELOOP, in finite time."""
    assert mounted.run("os.symlink('ring', 'ring'); answer(attempt(\"os.stat('ring')\"))") == "ELOOP"


@pytest.mark.requires("symbolic-links")
def test_removing_a_link_leaves_its_target(mounted: Scratch) -> None:
    """And the link is gone from the disk."""
    code = """
    write("target", "kept")
    os.symlink("target", "link")
    syncfs()
    os.unlink("link")
    fs.remount()
    answer([os.path.lexists("link"), read("target")])
    """
    assert mounted.run(code) == [False, "kept"]
