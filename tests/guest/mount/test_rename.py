"""rename(2)."""

from __future__ import annotations

import pytest
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

# A tree is told by its names in order: `d/` is a directory, `d/f=1` a file with that content.
TREE = """
    def make(tree):
        for entry in tree.split():
            name, _, content = entry.partition("=")
            if name.endswith("/"):
                os.mkdir(name)
            else:
                write(name, content)

    def tree():
        found = []
        for root, directories, files in os.walk("."):
            found += [f"{root}/{name}/" for name in directories]
            found += [f"{root}/{name}={read(f'{root}/{name}')}" for name in files]
        return " ".join(sorted(name.removeprefix("./") for name in found))
"""


@pytest.fixture(scope="module")
def outcome(mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    code = """
    os.mkdir("errors")
    os.chdir("errors")
    make("full/ full/sub/ other/ file=content")
    answer({name: attempt(statement) for name, statement in arguments[0].items()})
    """
    statements = {name: statement for name, (statement, _) in ERRORS.items()}
    tried: dict[str, str] = mounted.run(TREE + code, statements)
    return tried


@pytest.mark.parametrize("attempt", ERRORS)
def test_answer_is_right(outcome: dict[str, str], attempt: str) -> None:
    """A directory in its own child would be a loop that nobody can reach."""
    assert outcome[attempt] in ERRORS[attempt][1].split(" or ")


@pytest.mark.usefixtures("outcome")
def test_refused_renames_changed_nothing(mounted: Scratch) -> None:
    """Neither name of a rename that failed is lost."""
    code = """
    os.chdir("errors")
    answer(tree())
    """
    assert mounted.run(TREE + code) == "file=content full/ full/sub/ other/"


# What is made, what is renamed to what, and the tree after it.
MOVES = {
    "file": ("a=1", "a", "b", "b=1"),
    "file over file": ("a=1 b=2", "a", "b", "b=1"),
    "file to directory": ("a=1 d/", "a", "d/b", "d/ d/b=1"),
    "file over file in directory": ("a=1 d/ d/b=2", "a", "d/b", "d/ d/b=1"),
    "directory": ("d/ d/e/ d/e/f=1", "d", "c", "c/ c/e/ c/e/f=1"),
    "directory over empty directory": ("d/ c/ d/f=1", "d", "c", "c/ c/f=1"),
    "directory to directory": ("d/ d/e/ c/ d/e/f=1", "d/e", "c/g", "c/ c/g/ c/g/f=1 d/"),
}


@pytest.fixture(scope="module")
def trees(mounted: Scratch) -> dict[str, str]:
    """Each move, made in a directory of its own, as it is after a remount."""
    code = """
    def places():
        for name, move in arguments[0].items():
            os.chdir(f"{fs.point}/moves/{name}")
            yield name, move
        os.chdir(fs.point)

    for name in arguments[0]:
        os.makedirs(f"moves/{name}")
    for _, (before, _, _, _) in places():
        make(before)
    syncfs()  # what a rename changes must be written for its own sake, not because what was made before is
    for _, (_, old, new, _) in places():
        os.rename(old, new)
    fs.remount()
    answer({name: tree() for name, _ in places()})
    """
    found: dict[str, str] = mounted.run(TREE + code, MOVES)
    return found


@pytest.mark.parametrize("move", MOVES)
def test_tree_is_right(trees: dict[str, str], move: str) -> None:
    """After a remount there is the new name, with the old content, and no old name."""
    assert trees[move] == MOVES[move][3]


def test_parent_follows(mounted: Scratch) -> None:
    """`..` of a directory that moved is its new parent, which also counts it."""
    code = """
    os.makedirs("from/sub")
    os.mkdir("to")
    os.rename("from/sub", "to/sub")
    fs.remount()
    inodes = [os.stat(name).st_ino for name in ("to", "to/sub/..")]
    answer([*inodes, *(os.stat(name).st_nlink for name in ("from", "to"))])
    """
    parent, dot_dot, *links = mounted.run(code)
    assert dot_dot == parent
    assert links in ([2, 3], [1, 1])


def test_inode_stays(mounted: Scratch) -> None:
    """A rename moves a name, not the file: whoever has it open goes on with it."""
    code = """
    write("old", "1")
    before = os.stat("old").st_ino
    with open("old", "a") as file:
        os.rename("old", "new")
        file.write("2")
    answer([before, os.stat("new").st_ino, read("new")])
    """
    before, after, content = mounted.run(code)
    assert [after, content] == [before, "12"]


def test_replaced_file_gives_its_room_back(mounted: Scratch) -> None:
    """The file whose name was taken over is freed, not lost."""
    code = """
    write("small", "x")
    before = free()
    write("big", bytes(8 << 20))
    os.rename("small", "big")
    answer(before - free(before - (3 << 20)))
    """
    taken = mounted.run(code)
    assert taken < 4 << 20, f"{taken} bytes are still taken"
