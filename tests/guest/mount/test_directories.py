"""Directories."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories")

MANY = 1000

ERRORS = {
    "remove one that isn't empty": ("os.rmdir('full')", "ENOTEMPTY"),
    "remove a file as one": ("os.rmdir('full/file')", "ENOTDIR"),
    "unlink one": ("os.unlink('full')", "EISDIR or EPERM"),
    "make one that exists": ("os.mkdir('full')", "EEXIST"),
    "make one in what isn't there": ("os.mkdir('missing/new')", "ENOENT"),
    "open one for writing": ("os.open('full', os.O_WRONLY)", "EISDIR"),
    "link one": ("os.link('full', 'second')", "EPERM"),
}


@pytest.fixture(scope="module")
def outcome(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    guest.ok(f"mkdir {mounted.point}/full; echo content >{mounted.point}/full/file")
    return guest.attempts(mounted.point, {name: statement for name, (statement, _) in ERRORS.items()})


@pytest.mark.parametrize("attempt", ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """What would tear a tree apart is refused."""
    assert outcome[attempt] in ERRORS[attempt][1].split(" or ")


def test_refused_removals_left_the_content(guest: Guest, mounted: Scratch, outcome: dict[str, str]) -> None:
    """An error that was told after half the work is worse than none."""
    assert "done" not in outcome.values()
    assert guest.ok(f"cat {mounted.point}/full/file") == "content"


def test_nested_directories_are_kept(guest: Guest, mounted: Scratch) -> None:
    """Forty levels deep."""
    deep = "/".join(f"level{number}" for number in range(40))
    guest.ok(f"cd {mounted.point}; mkdir -p {deep}; echo bottom >{deep}/file")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; cat {deep}/file; rm -r level0; ls -d level0 || true") == "bottom"


def test_parent_and_self_are_right(guest: Guest, mounted: Scratch) -> None:
    """`.` and `..` lead where they should, from disk too."""
    guest.ok(f"mkdir -p {mounted.point}/parent/child")
    mounted.remount()
    inodes = guest.ok(f"cd {mounted.point}/parent; stat -c %i . child/.. ../parent; stat -c %i child child/.").split()
    assert inodes[0] == inodes[1] == inodes[2]
    assert inodes[3] == inodes[4] != inodes[0]


def test_links_count_the_subdirectories(guest: Guest, mounted: Scratch) -> None:
    """Two and one for each subdirectory; or 1 throughout, by which a filesystem says that it doesn't count."""
    make = (
        f"cd {mounted.point}; mkdir count; stat -c %h count; mkdir count/a count/b; echo >count/file; stat -c %h count"
    )
    counts = guest.ok(
        f"{make}; rmdir count/a; stat -c %h count; rm count/file; rmdir count/b; stat -c %h count"
    ).split()
    assert counts in (["2", "4", "3", "2"], ["1", "1", "1", "1"])


def test_removed_directory_stays_away(guest: Guest, mounted: Scratch) -> None:
    """And its name can be given again, to a file."""
    guest.ok(f"cd {mounted.point}; mkdir once; sync -f .; rmdir once; echo file >once")
    mounted.remount()
    assert guest.ok(f"cat {mounted.point}/once") == "file"


@pytest.fixture(scope="module")
def many(guest: Guest, mounted: Scratch) -> Scratch:
    """A directory of so many entries that it takes many blocks."""
    guest.ok(
        f"mkdir {mounted.point}/many; cd {mounted.point}/many; seq -f entry-%04g {MANY} | xargs touch", seconds=120
    )
    return mounted


@pytest.mark.parametrize("when", ["at once", "after a remount"])
def test_each_of_many_entries_is_listed_once(guest: Guest, many: Scratch, when: str) -> None:
    """A listing that goes over several calls of getdents drops or repeats entries when positions are wrong."""
    if when != "at once":
        many.remount()
    listed = guest.ok(f"ls -U {many.point}/many").split()
    assert sorted(listed) == [f"entry-{number:04d}" for number in range(1, MANY + 1)]


def test_many_entries_can_be_removed(guest: Guest, many: Scratch) -> None:
    """Every other first, which leaves gaps; the rest is still right; then all, while the directory is being read."""
    guest.ok(f"cd {many.point}/many; seq -f entry-%04g 1 2 {MANY} | xargs rm", seconds=120)
    many.remount()
    listed = guest.ok(f"ls -U {many.point}/many").split()
    assert sorted(listed) == [f"entry-{number:04d}" for number in range(2, MANY + 1, 2)]
    guest.ok(f"rm -r {many.point}/many; [ ! -e {many.point}/many ]", seconds=120)
