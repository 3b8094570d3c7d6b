"""rename(2)."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "directories", "rename")

ERRORS = {
    "into its own child": ("os.rename('full', 'full/sub/new')", "EINVAL"),
    "directory over one that isn't empty": ("os.rename('other', 'full')", "ENOTEMPTY or EEXIST"),
    "directory over a file": ("os.rename('other', 'file')", "ENOTDIR"),
    "file over a directory": ("os.rename('file', 'other')", "EISDIR"),
    "what isn't there": ("os.rename('missing', 'new')", "ENOENT"),
    "to where nothing is": ("os.rename('file', 'missing/new')", "ENOENT"),
    "onto itself": ("os.rename('file', 'file')", "done"),
}


@pytest.fixture(scope="module")
def outcome(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    guest.ok(f"mkdir {mounted.point}/errors; cd {mounted.point}/errors; mkdir -p full/sub other; echo content >file")
    return guest.attempts(f"{mounted.point}/errors", {name: statement for name, (statement, _) in ERRORS.items()})


@pytest.mark.parametrize("attempt", ERRORS)
def test_answer_is_right(outcome: dict[str, str], attempt: str) -> None:
    """A directory in its own child would be a loop that nobody can reach."""
    assert outcome[attempt] in ERRORS[attempt][1].split(" or ")


def test_refused_renames_changed_nothing(guest: Guest, mounted: Scratch, outcome: dict[str, str]) -> None:
    """Neither name of a rename that failed is lost."""
    assert outcome
    assert guest.ok(f"cd {mounted.point}/errors; ls; ls full; cat file") == "file\nfull\nother\nsub\ncontent"


# What is made, what is renamed to what, and the tree after it with the content of its files.
MOVES = {
    "file": ("echo 1 >a", "a", "b", "b=1"),
    "file over file": ("echo 1 >a; echo 2 >b", "a", "b", "b=1"),
    "file to directory": ("echo 1 >a; mkdir d", "a", "d/b", "d/ d/b=1"),
    "file over file in directory": ("echo 1 >a; mkdir d; echo 2 >d/b", "a", "d/b", "d/ d/b=1"),
    "directory": ("mkdir -p d/e; echo 1 >d/e/f", "d", "c", "c/ c/e/ c/e/f=1"),
    "directory over empty directory": ("mkdir -p d c; echo 1 >d/f", "d", "c", "c/ c/f=1"),
    "directory to directory": ("mkdir -p d/e c; echo 1 >d/e/f", "d/e", "c/g", "c/ c/g/ c/g/f=1 d/"),
}


@pytest.fixture(scope="module")
def trees(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """Each move, made in a directory of its own, as it is after a remount."""
    make = [f"mkdir -p 'moves/{name}'; (cd 'moves/{name}'; {move[0]})" for name, move in MOVES.items()]
    pairs = [[f"moves/{name}/{move[1]}", f"moves/{name}/{move[2]}"] for name, move in MOVES.items()]
    guest.ok(f"cd {mounted.point}; {'; '.join(make)}")
    guest.python(f"import os; os.chdir('{mounted.point}'); [os.rename(*pair) for pair in {pairs}]")
    mounted.remount()
    show = 'if [ -f "$1" ]; then echo "$1=$(cat "$1")"; else echo "$1/"; fi'
    find = f"find . -mindepth 1 -exec sh -c '{show}' sh {{}} ';' | sort | tr '\\n' ' '"
    listed = [f"(cd 'moves/{name}'; echo \"$({find})\")" for name in MOVES]
    return dict(zip(MOVES, guest.ok(f"cd {mounted.point}; {'; '.join(listed)}").splitlines(), strict=True))


@pytest.mark.parametrize("move", MOVES)
def test_tree_is_right(trees: dict[str, str], move: str) -> None:
    """After a remount there is the new name, with the old content, and no old name."""
    assert trees[move].replace("./", "").strip() == MOVES[move][3]


def test_parent_follows(guest: Guest, mounted: Scratch) -> None:
    """`..` of a directory that moved is its new parent, which also counts it."""
    guest.ok(f"cd {mounted.point}; mkdir -p from/sub to; mv from/sub to/")
    mounted.remount()
    numbers = guest.ok(f"cd {mounted.point}; stat -c %i to to/sub/..; stat -c %h from to").split()
    assert numbers[0] == numbers[1]
    assert numbers[2:] in (["2", "3"], ["1", "1"])


def test_inode_stays(guest: Guest, mounted: Scratch) -> None:
    """A rename moves a name, not the file: whoever has it open goes on with it."""
    script = "echo 1 >old; stat -c %i old; exec 5>>old; mv old new; echo 2 >&5; stat -c %i new; cat new"
    before, after, *content = guest.ok(f"cd {mounted.point}; {script}").split()
    assert before == after
    assert content == ["1", "2"]


def test_replaced_file_gives_its_room_back(guest: Guest, mounted: Scratch) -> None:
    """The file whose name was taken over is freed, not lost."""
    free = "sync -f .; stat -f -c %f ."
    script = f"echo x >small; {free}; head -c 8M /dev/zero >big; mv small big; sync -f .; {free}"
    before, after = map(int, guest.ok(f"cd {mounted.point}; {script}").split())
    size = int(guest.ok(f"stat -f -c %S {mounted.point}"))
    assert (before - after) * size < 4 << 20, f"{(before - after) * size} bytes are still taken"
