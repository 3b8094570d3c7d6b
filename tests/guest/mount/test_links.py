"""Hard and symbolic links."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

LENGTHS = [1, 59, 60, 255, 1000]


@pytest.mark.requires("hard-links", "directories")
def test_hard_link_is_the_same_file(guest: Guest, mounted: Scratch) -> None:
    """One inode, three names in two directories, and a count that says so; what goes in by one comes out by another."""
    guest.ok(f"cd {mounted.point}; mkdir dir; echo one >first; ln first second; ln first dir/third; echo two >>second")
    mounted.remount()
    names = "first second dir/third"
    seen = guest.ok(f"cd {mounted.point}; stat -c '%i %h' {names} | sort -u | wc -l; stat -c %h first; cat dir/third")
    assert seen.split() == ["1", "3", "one", "two"]


@pytest.mark.requires("hard-links")
def test_content_stays_until_the_last_name_is_gone(guest: Guest, mounted: Scratch) -> None:
    """A count that is off by one frees blocks that a name still leads to."""
    guest.ok(f"cd {mounted.point}; echo kept >a; ln a b; rm a; head -c 1M /dev/zero >other")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; stat -c %h b; cat b; rm b; ls b 2>/dev/null || true") == "1\nkept"


@pytest.mark.requires("hard-links")
def test_link_over_a_name_is_refused(guest: Guest, mounted: Scratch) -> None:
    """link(2) never replaces."""
    statements = {"over": "os.link('x', 'y')", "missing": "os.link('missing', 'z')"}
    guest.ok(f"cd {mounted.point}; echo x >x; echo y >y")
    assert guest.attempts(mounted.point, statements) == {"over": "EEXIST", "missing": "ENOENT"}
    assert guest.ok(f"cat {mounted.point}/y") == "y"


@pytest.fixture(scope="module")
def targets(guest: Guest, mounted: Scratch) -> list[str]:
    """Links of all lengths, as they are after a remount: size and target of each."""
    make = [f"ln -s {target(length)} length-{length}" for length in LENGTHS]
    guest.ok(f"cd {mounted.point}; {'; '.join(make)}")
    mounted.remount()
    return guest.ok(
        f"cd {mounted.point}; " + "; ".join(f"stat -c '%s %N' length-{length}" for length in LENGTHS)
    ).splitlines()


def target(length: int) -> str:
    """A target of so many bytes."""
    return ("0123456789/" * 100)[:length]


@pytest.mark.requires("symbolic-links")
@pytest.mark.parametrize("length", LENGTHS)
def test_symbolic_link_keeps_its_target(targets: list[str], length: int) -> None:
    """Short ones are often kept in the inode, long ones in a block; the border between them is where it breaks."""
    assert f"'length-{length}' -> '{target(length)}'" in [line.partition(" ")[2] for line in targets]


@pytest.mark.requires("symbolic-links", "symbolic-link-sizes")
@pytest.mark.parametrize("length", LENGTHS)
def test_size_of_a_symbolic_link_is_its_targets(targets: list[str], length: int) -> None:
    """Programs allocate that much before they call readlink(2)."""
    assert [line.partition(" ")[0] for line in targets if f"'length-{length}'" in line] == [str(length)]


@pytest.mark.requires("symbolic-links", "directories")
def test_symbolic_link_is_followed(guest: Guest, mounted: Scratch) -> None:
    """To a file, through a directory; one that leads nowhere says so."""
    guest.ok(
        f"cd {mounted.point}; mkdir real; echo content >real/file; ln -s real/file s; ln -s real d; ln -s nowhere n"
    )
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; cat s d/file; readlink n") == "content\ncontent\nnowhere"
    assert guest.attempts(mounted.point, {"dangling": "os.stat('n')"}) == {"dangling": "ENOENT"}


@pytest.mark.requires("symbolic-links")
def test_loop_of_symbolic_links_is_told(guest: Guest, mounted: Scratch) -> None:
    """With ELOOP, in finite time."""
    guest.ok(f"cd {mounted.point}; ln -s ring ring")
    assert guest.attempts(mounted.point, {"follow": "os.stat('ring')"}) == {"follow": "ELOOP"}


@pytest.mark.requires("symbolic-links")
def test_removing_a_link_leaves_its_target(guest: Guest, mounted: Scratch) -> None:
    """And the link is gone from the disk."""
    guest.ok(f"cd {mounted.point}; echo kept >target; ln -s target link; sync -f .; rm link")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; [ ! -L link ]; cat target") == "kept"
