"""Directories."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories")

# So long that a listing of them takes several calls of getdents: Python asks for 32 KiB each time.
MANY = [f"entry-{number:04d}-{'long' * 10}" for number in range(1, 1001)]

ERRORS = {
    "remove one that isn't empty": ("os.rmdir('full')", "ENOTEMPTY"),
    "remove a file as one": ("os.rmdir('full/file')", "ENOTDIR"),
    "unlink one": ("os.unlink('full')", "EISDIR or EPERM"),
    "make one that exists": ("os.mkdir('full')", "EEXIST"),
    "make one in what isn't there": ("os.mkdir('missing/new')", "ENOENT"),
    "open one for writing": ("os.open('full', os.O_WRONLY)", "EISDIR"),
    "link one": ("os.link('full', 'second')", "EPERM"),
}

LIST_MANY = """
os.mkdir("many")
for name in arguments[0]:
    os.close(os.open(f"many/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
at_once = os.listdir("many")
fs.remount()
answer({"at once": at_once, "after a remount": os.listdir("many")})
"""


@pytest.fixture(scope="module")
def outcome(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    mounted.run("os.mkdir('full'); write('full/file', 'content')")
    return guest.attempts(mounted.point, {name: statement for name, (statement, _) in ERRORS.items()})


@pytest.mark.parametrize("attempt", ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """What would tear a tree apart is refused."""
    assert outcome[attempt] in ERRORS[attempt][1].split(" or ")


def test_refused_removals_left_the_content(mounted: Scratch, outcome: dict[str, str]) -> None:
    """An error that was told after half the work is worse than none."""
    assert "done" not in outcome.values()
    assert mounted.run("answer(read('full/file'))") == "content"


def test_nested_directories_are_kept(mounted: Scratch) -> None:
    """Forty levels deep."""
    code = """
    levels = ["/".join(f"level{number}" for number in range(depth)) for depth in range(1, 41)]
    for level in levels:
        os.mkdir(level)
    write(f"{levels[-1]}/file", "bottom")
    fs.remount()
    found = read(f"{levels[-1]}/file")
    os.unlink(f"{levels[-1]}/file")
    for level in reversed(levels):
        os.rmdir(level)
    answer([found, os.path.exists("level0")])
    """
    assert mounted.run(code) == ["bottom", False]


def test_parent_and_self_are_right(mounted: Scratch) -> None:
    """`.` and `..` lead where they should, from disk too."""
    code = """
    os.makedirs("parent/child")
    fs.remount()
    os.chdir("parent")
    answer([os.stat(path).st_ino for path in arguments])
    """
    parent, by_child, by_parent, child, itself = mounted.run(code, ".", "child/..", "../parent", "child", "child/.")
    assert (by_child, by_parent, itself) == (parent, parent, child)
    assert child != parent


def test_links_count_the_subdirectories(mounted: Scratch) -> None:
    """Two and one for each subdirectory; or 1 throughout, by which a filesystem says that it doesn't count."""
    code = """
    counts = []
    for step in arguments[0]:
        exec(step)
        counts.append(os.stat("count").st_nlink)
    answer(counts)
    """
    steps = [
        "os.mkdir('count')",
        "os.mkdir('count/a'); os.mkdir('count/b'); write('count/file', 'x')",
        "os.rmdir('count/a')",
        "os.unlink('count/file'); os.rmdir('count/b')",
    ]
    assert mounted.run(code, steps) in ([2, 4, 3, 2], [1, 1, 1, 1])


def test_removed_directory_stays_away(mounted: Scratch) -> None:
    """And its name can be given again, to a file."""
    code = """
    os.mkdir("once")
    syncfs()
    os.rmdir("once")
    write("once", "file")
    fs.remount()
    answer(read("once"))
    """
    assert mounted.run(code) == "file"


@pytest.fixture(scope="module")
def many(mounted: Scratch) -> dict[str, list[str]]:
    """What is listed of a directory of so many entries that it takes many blocks."""
    found: dict[str, list[str]] = mounted.run(LIST_MANY, MANY, seconds=120)
    return found


@pytest.mark.parametrize("when", ["at once", "after a remount"])
def test_each_of_many_entries_is_listed_once(many: dict[str, list[str]], when: str) -> None:
    """A listing that goes over several calls of getdents drops or repeats entries when positions are wrong."""
    assert sorted(many[when]) == MANY


@pytest.mark.usefixtures("many")
def test_many_entries_can_be_removed(mounted: Scratch) -> None:
    """Every other first, which leaves gaps; the rest is still right; then all, in the order of a listing."""
    code = """
    for name in arguments[0]:
        os.unlink(f"many/{name}")
    fs.remount()
    left = os.listdir("many")
    for name in left:
        os.unlink(f"many/{name}")
    os.rmdir("many")
    answer([sorted(left), os.path.exists("many")])
    """
    assert mounted.run(code, MANY[::2], seconds=120) == [MANY[1::2], False]
