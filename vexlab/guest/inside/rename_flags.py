"""renameat2(2) with its flags."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.rename import make
from vexlab.guest.inside.system import check, libc, read, syncfs

AT_FDCWD = -100
NOREPLACE, EXCHANGE, WHITEOUT, UNKNOWN = 1, 2, 4, 1 << 5  # linux/fs.h; the last is no flag


def renameat2(old: str, new: str, flags: int) -> None:
    """renameat2(2)."""
    check(libc.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags), old, new)


def flagged(old: str, new: str, flags: int) -> Callable[[], None]:
    """A rename with flags, for later."""
    return lambda: renameat2(old, new, flags)


class Case(NamedTuple):
    """A tree as inside/rename.py tells it, what is done in it, and what may come of that: outcomes, each with its tree.

    A filesystem that lacks a flag answers EINVAL, and has changed nothing.
    """

    before: str
    do: Callable[[], None]
    allowed: dict[str, str]


def lacking(before: str, **allowed: str) -> dict[str, str]:
    """What may come of a flag: this, or EINVAL with the tree as it was."""
    return {"EINVAL": before, **allowed}


FLAGS: dict[str, Case] = {
    "RENAME_NOREPLACE to a new name": Case("a=1", flagged("a", "b", NOREPLACE), lacking("a=1", done="b=1")),
    "RENAME_NOREPLACE to a name that is taken": Case(
        "a=1 b=2", flagged("a", "b", NOREPLACE), lacking("a=1 b=2", EEXIST="a=1 b=2")
    ),
    "RENAME_NOREPLACE to a name in another directory that is taken": Case(
        "a=1 d/ d/b=2", flagged("a", "d/b", NOREPLACE), lacking("a=1 d/ d/b=2", EEXIST="a=1 d/ d/b=2")
    ),
    "RENAME_EXCHANGE of two files": Case(
        "a=1 b=2", flagged("a", "b", EXCHANGE), lacking("a=1 b=2", done="a=2 b=1")
    ),
    "RENAME_EXCHANGE of files in two directories": Case(
        "a=1 d/ d/b=2", flagged("a", "d/b", EXCHANGE), lacking("a=1 d/ d/b=2", done="a=2 d/ d/b=1")
    ),
    "RENAME_EXCHANGE of a file and a directory": Case(
        "a=1 d/ d/f=2", flagged("a", "d", EXCHANGE), lacking("a=1 d/ d/f=2", done="a/ a/f=2 d=1")
    ),
    "RENAME_EXCHANGE of a file and a directory in another": Case(
        "a=1 d/ d/e/ d/e/f=2", flagged("a", "d/e", EXCHANGE), lacking("a=1 d/ d/e/ d/e/f=2", done="a/ a/f=2 d/ d/e=1")
    ),
    "RENAME_EXCHANGE of directories that aren't empty": Case(
        "c/ c/f=1 d/ d/g=2", flagged("c", "d", EXCHANGE), lacking("c/ c/f=1 d/ d/g=2", done="c/ c/g=2 d/ d/f=1")
    ),
    "RENAME_EXCHANGE with what isn't there": Case("a=1", flagged("a", "b", EXCHANGE), lacking("a=1", ENOENT="a=1")),
    "RENAME_EXCHANGE with its own child": Case("d/ d/e/", flagged("d", "d/e", EXCHANGE), {"EINVAL": "d/ d/e/"}),
    "RENAME_WHITEOUT to a new name": Case("a=1", flagged("a", "b", WHITEOUT), lacking("a=1", done="a:0:0 b=1")),
    "RENAME_WHITEOUT over a name": Case(
        "a=1 b=2", flagged("a", "b", WHITEOUT), lacking("a=1 b=2", done="a:0:0 b=1")
    ),
    "RENAME_NOREPLACE and RENAME_EXCHANGE": Case(
        "a=1 b=2", flagged("a", "b", NOREPLACE | EXCHANGE), {"EINVAL": "a=1 b=2"}
    ),
    "a flag that there isn't": Case("a=1", flagged("a", "b", UNKNOWN), {"EINVAL": "a=1"}),
}  # fmt: skip


def tree(top: str) -> str:
    """The tree that is there; a device node as `name:major:minor`."""
    found = []
    for root, directories, files in os.walk(top):
        found += [f"{root}/{name}/" for name in directories]
        for name in files:
            path, seen = f"{root}/{name}", os.lstat(f"{root}/{name}")
            device = f"{os.major(seen.st_rdev)}:{os.minor(seen.st_rdev)}"
            found.append(f"{path}={read(path)}" if stat.S_ISREG(seen.st_mode) else f"{path}:{device}")
    return " ".join(sorted(os.path.relpath(name, top) + "/" * name.endswith("/") for name in found))


def with_flags(fs: Filesystem) -> dict[str, list[str]]:
    """Each case in a directory of its own: what came of it, and the tree at once and after a remount."""
    os.mkdir("flags")
    for number, case in enumerate(FLAGS.values()):
        os.mkdir(f"{fs.point}/flags/{number}")
        os.chdir(f"{fs.point}/flags/{number}")
        make(case.before)
    syncfs()  # what a rename changes must be written for its own sake
    came = []
    for number, case in enumerate(FLAGS.values()):
        os.chdir(f"{fs.point}/flags/{number}")
        came.append(outcome(case.do))
    os.chdir(fs.point)
    at_once = [tree(f"flags/{number}") for number in range(len(FLAGS))]
    fs.remount()
    return {name: [came[number], at_once[number], tree(f"flags/{number}")] for number, name in enumerate(FLAGS)}
