"""What rename(2) does to directories, to names of one file, and to what others do meanwhile."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.children import SECONDS, WAITS, child
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.rename import make
from vexlab.guest.inside.rename_flags import tree
from vexlab.guest.inside.system import read, write

# How a directory is moved: the tree, old and new name, which directories are counted then, and what they count.
COUNTS: dict[str, tuple[str, str, str, dict[str, int]]] = {
    "to another directory": ("c/ d/ d/e/", "d/e", "c/e", {"c": 3, "d": 2, "c/e": 2}),
    "within a directory": ("d/ d/e/", "d/e", "d/f", {"d": 3, "d/f": 2}),
    "over an empty one beside it": ("d/ d/e/ d/f/", "d/e", "d/f", {"d": 3, "d/f": 2}),
    "over an empty one in another": ("c/ c/f/ d/ d/e/", "d/e", "c/f", {"c": 3, "d": 2, "c/f": 2}),
    "with one in it": ("c/ d/ d/e/ d/e/f/", "d/e", "c/e", {"c": 3, "d": 2, "c/e": 3}),
}


def counts(fs: Filesystem) -> dict[str, dict[str, list[int]]]:
    """Each way to move a directory, in one of its own: the links of those around it, at once and after a remount."""
    found: dict[str, dict[str, list[int]]] = {}
    os.mkdir("counts")
    for number, (name, (before, old, new, counted)) in enumerate(COUNTS.items()):
        os.mkdir(f"{fs.point}/counts/{number}")
        os.chdir(f"{fs.point}/counts/{number}")
        make(before)
        os.rename(old, new)
        found[name] = {place: [os.stat(place).st_nlink] for place in counted}
    os.chdir(fs.point)
    fs.remount()
    for number, places in enumerate(found.values()):
        for place, seen in places.items():
            seen.append(os.stat(f"{fs.point}/counts/{number}/{place}").st_nlink)
    return found


def parents(fs: Filesystem) -> dict[str, bool]:
    """Move a directory twice: whether `..` in it is its parent each time, by path, by listing and from inside."""
    make("moving/ moving/from/ moving/from/sub/ moving/to/ moving/to/deep/")
    os.chdir("moving/from/sub")
    os.listdir("..")
    seen = {}
    for step, old, new in (("moved down", "from/sub", "to/deep/sub"), ("moved up", "to/deep/sub", "sub")):
        top = f"{fs.point}/moving"
        os.rename(f"{top}/{old}", f"{top}/{new}")
        parent = os.stat(os.path.dirname(f"{top}/{new}")).st_ino
        seen[f"{step}: `..` of the current directory is the new parent"] = os.stat("..").st_ino == parent
        seen[f"{step}: so is `..` by the new name"] = os.stat(f"{top}/{new}/..").st_ino == parent
        name = step.replace(" ", "-")
        write(name, "x")
        seen[f"{step}: what is made in it is found by the new name"] = os.path.exists(f"{top}/{new}/{name}")
    os.chdir(fs.point)
    fs.remount()
    seen["after a remount `..` is the last parent"] = os.stat("moving/sub/..").st_ino == os.stat("moving").st_ino
    return seen


def names_of_one_file(fs: Filesystem) -> dict[str, Any]:
    """Rename a name over another one of the same file: what came of it, and what is there after a remount."""
    os.mkdir("one")
    os.chdir("one")
    write("a", "1")
    os.link("a", "b")
    came = outcome(os.rename, "a", "b")
    os.chdir(fs.point)
    fs.remount()
    return {
        "rename(a, b) of two names of one file": came,
        "the names that are left": sorted(os.listdir("one")),
        "the links of the file": os.stat("one/b").st_nlink,
        "what it holds": read("one/b"),
    }


def victim_with_another_name(fs: Filesystem) -> dict[str, Any]:
    """Rename a file over one that has another name, and over one that is open: what is left of what was replaced."""
    os.mkdir("victims")
    os.chdir("victims")
    make("new=1 old=2 third=3 opened=4")
    os.link("old", "kept")
    os.rename("new", "old")
    with open("opened", "r+") as file:
        os.rename("third", "opened")
        file.write("44")
        file.seek(0)
        seen: dict[str, Any] = {
            "links of a file that was replaced while it was open": os.fstat(file.fileno()).st_nlink,
            "what that reads after a write(2) to it": file.read(),
            "what its name holds": read("opened"),
        }
    os.chdir(fs.point)
    fs.remount()
    seen["links of the replaced file's other name"] = os.stat("victims/kept").st_nlink
    seen["what that holds"] = read("victims/kept")
    seen["the names that are left"] = sorted(os.listdir("victims"))
    return seen


ODD: dict[str, tuple[Callable[[], object], str]] = {
    "rename(file, directory/.)": (lambda: os.rename("file", "dir/."), "EBUSY EINVAL ENOTDIR"),
    "rename(., new)": (lambda: os.rename(".", "new"), "EBUSY EINVAL"),
    "rename(directory/.., new)": (lambda: os.rename("dir/..", "new"), "EBUSY EINVAL"),
    "rename(file, new/)": (lambda: os.rename("file", "new/"), "ENOTDIR"),
    "rename(file/, new)": (lambda: os.rename("file/", "new"), "ENOTDIR"),
    "rename(directory, directory/new)": (lambda: os.rename("dir", "dir/new"), "EINVAL"),
    "rename(directory/child, directory)": (lambda: os.rename("dir/child", "dir"), "ENOTEMPTY EEXIST"),
    "rename(file, directory of the file's own)": (lambda: os.rename("dir/inner", "dir"), "EISDIR ENOTEMPTY"),
    "rename(file, name of 300 bytes)": (lambda: os.rename("file", "n" * 300), "ENAMETOOLONG"),
    "rename(directory, new/)": (lambda: os.rename("other", "renamed/"), "done"),
}  # fmt: skip


def odd(_fs: Filesystem) -> dict[str, str]:
    """What comes of renames that can't be, or that look as if they couldn't; and the tree then."""
    os.mkdir("odd")
    os.chdir("odd")
    make("file=1 dir/ dir/child/ dir/inner=2 other/")
    return {**{name: outcome(attempt) for name, (attempt, _) in ODD.items()}, "the tree": tree(".")}


def rename_over(turns: int) -> None:
    """Make files and rename each over one name."""
    for turn in range(turns):
        write("source", str(turn))
        os.rename("source", "target")


def atomic(_fs: Filesystem, turns: int) -> dict[str, Any]:
    """Have another process rename so many files over a name, and open that all the while: how often it was missing."""
    write("target", "0")
    missing = empty = 0
    with child(lambda: rename_over(turns)) as other:
        while (came := other.told(0)) == WAITS:
            try:
                empty += not read("target")
            except FileNotFoundError:
                missing += 1
    return {
        "what came of the other process": came,
        "times that it was missing": missing,
        "times that it was empty": empty,
    }


def cross(turns: int, mine: str, places: tuple[str, str]) -> None:
    """Rename a file of one's own and a directory to the other place and back, so many times."""
    here, there = places
    for _ in range(turns):
        os.rename(f"{here}/{mine}", f"{there}/{mine}")
        os.rename(f"{here}/{mine}-dir", f"{there}/{mine}-dir")
        here, there = there, here


def crossing(_fs: Filesystem, turns: int) -> dict[str, Any]:
    """Two processes rename between two directories in opposite directions: what came of it, and what is where then."""
    make("left/ right/ left/one=1 left/one-dir/ left/one-dir/file=1 right/two=2 right/two-dir/ right/two-dir/file=2")
    one = functools.partial(cross, 2 * turns, "one", ("left", "right"))
    two = functools.partial(cross, 2 * turns, "two", ("right", "left"))
    with child(one) as first, child(two) as second:
        came = [first.told(SECONDS), second.told(SECONDS)]
    return {
        "what came of them": came,
        "left": tree("left"),
        "right": tree("right"),
        "links of the two": sorted({os.stat("left").st_nlink, os.stat("right").st_nlink}),
    }
