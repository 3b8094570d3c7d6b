"""Which times each change moves: of the file that is changed, and of the directory whose entries are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, write
from vexlab.guest.inside.times import NOW, OMIT, utimensat


class Change(NamedTuple):
    """Something that is done in a directory of its own, in which `file` with 8192 bytes is, and `sub/`.

    `watched` is whose times are looked at before, `later` its name afterwards. `needs` is what a target has to claim.
    """

    do: Callable[[], object]
    watched: str
    later: str
    needs: tuple[str, ...] = ()


def of(do: Callable[[], object], *needs: str, watched: str = "file", later: str = "") -> Change:
    """A change of the inode of `file`, unless it is said which name to watch, and which one has it afterwards."""
    return Change(do, watched, later or watched, needs)


def pwrite(name: str, data: bytes, offset: int, flags: int = 0) -> None:
    """open(2), pwrite(2) and close(2)."""
    descriptor = os.open(name, os.O_WRONLY | flags)
    os.pwrite(descriptor, data, offset)
    os.close(descriptor)


def ftruncate(name: str, size: int) -> None:
    """open(2), ftruncate(2) and close(2)."""
    descriptor = os.open(name, os.O_WRONLY)
    os.ftruncate(descriptor, size)
    os.close(descriptor)


# What changes an inode, and so its ctime. What is in WRITES changes its mtime too, the others leave that.
WRITES = {
    "write(2) over what is there": of(lambda: pwrite("file", b"other", 0)),
    "write(2) at the end": of(lambda: write("file", "more", "a")),
    "truncate(2), shorter": of(lambda: os.truncate("file", 5000), "truncate"),
    "truncate(2), longer": of(lambda: os.truncate("file", 9000), "truncate"),
    "ftruncate(2), shorter": of(lambda: ftruncate("file", 5000), "truncate"),
    "open(2) with O_TRUNC": of(lambda: os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))),
}
ATTRIBUTES = {
    "chmod(2)": of(lambda: os.chmod("file", 0o600), "permissions"),
    "chown(2)": of(lambda: os.chown("file", 1, 1), "permissions"),
    "chmod(2) of a directory": of(lambda: os.chmod("sub", 0o700), "permissions", watched="sub"),
    "utimensat(2) of the access time": of(lambda: utimensat("file", NOW, OMIT)),
    "setxattr(2)": of(lambda: os.setxattr("file", "user.changed", b"x"), "xattrs"),
    "link(2)": of(lambda: os.link("file", "second"), "hard-links"),
    "unlink(2) of another name": of(lambda: os.unlink("other name"), "hard-links"),
    "rename(2)": of(lambda: os.rename("file", "new"), "rename", later="new"),
    "rename(2) of a directory": of(lambda: os.rename("sub", "new"), "rename", watched="sub", later="new"),
    "rename(2) to another directory": of(lambda: os.rename("file", "sub/new"), "rename", later="sub/new"),
    "rename(2) over another name": of(lambda: os.rename("small", "other name"), "rename", "hard-links"),
}
# What changes the entries of `sub`, and so both its times. It holds `old`, and `empty/` where there are directories.
ENTRIES = {
    "open(2) with O_CREAT": of(lambda: write("sub/new", ""), watched="sub"),
    "unlink(2)": of(lambda: os.unlink("sub/old"), watched="sub"),
    "mkdir(2)": of(lambda: os.mkdir("sub/new"), watched="sub"),
    "rmdir(2)": of(lambda: os.rmdir("sub/empty"), watched="sub"),
    "symlink(2)": of(lambda: os.symlink("x", "sub/new"), "symbolic-links", watched="sub"),
    "mkfifo(3)": of(lambda: os.mkfifo("sub/new"), watched="sub"),
    "link(2)": of(lambda: os.link("file", "sub/new"), "hard-links", watched="sub"),
    "rename(2) within it": of(lambda: os.rename("sub/old", "sub/new"), "rename", watched="sub"),
    "rename(2) into it": of(lambda: os.rename("file", "sub/new"), "rename", watched="sub"),
    "rename(2) out of it": of(lambda: os.rename("sub/old", "new"), "rename", watched="sub"),
    "rename(2) of a directory into it": of(lambda: os.rename("dir", "sub/new"), "rename", watched="sub"),
    "rename(2) of a directory out of it": of(lambda: os.rename("sub/empty", "new"), "rename", watched="sub"),
    "rename(2) over an entry of it": of(lambda: os.rename("file", "sub/old"), "rename", watched="sub"),
}
# What changes neither the content of `file` nor its inode, and no entry of `sub`.
HARMLESS = {
    "read(2)": of(lambda: read("file")),
    "open(2) for writing, and close(2)": of(lambda: os.close(os.open("file", os.O_RDWR))),
    "access(2)": of(lambda: os.access("file", os.W_OK)),
    "rename(2) to the name it has": of(lambda: os.rename("file", "file"), "rename"),
    "unlink(2) that fails": of(lambda: outcome(os.unlink, "sub/missing"), watched="sub"),
    "rmdir(2) that fails": of(lambda: outcome(os.rmdir, "sub"), watched="sub"),
    "write(2) to a file in the directory": of(lambda: write("sub/old", "y", "a"), watched="sub"),
    "lookup of what isn't there": of(lambda: os.path.exists("sub/missing"), watched="sub"),
}
FILES = 8  # that a change may take
NO_ROOM = "no room for its files"
TABLES = {"writes": WRITES, "attributes": ATTRIBUTES, "entries": ENTRIES, "harmless": HARMLESS}


def prepare(name: str, can: Sequence[str]) -> None:
    """Make the directory of a change, with all that one may need, and go there."""
    os.makedirs(name)
    os.chdir(name)
    write("file", bytes(8192))
    write("small", "x")
    os.makedirs("sub/empty")
    os.mkdir("dir")
    write("sub/old", "x")
    if "hard-links" in can:
        os.link("file", "other name")


def let_time_pass(after: int) -> None:
    """Wait until a file that is written gets a later time than that: as long as the filesystem's own step of time."""
    deadline = time.monotonic() + 5
    while True:
        write("clock", "x", "a")
        if os.stat("clock").st_mtime_ns > after:
            return
        assert time.monotonic() < deadline, "for 5 s a file that is written has had the same modification time"
        time.sleep(0.002)


def moved(fs: Filesystem, can: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Make all changes that a target can make that claims this: what each did to the times of what is watched.

    For each table and change: `mtime` and `ctime` by how many nanoseconds they went on, `kept` whether mtime
    and ctime are the same after a remount; or `failed`, with the errno or NO_ROOM. All of it needs directories.
    """
    if "directories" not in can:
        return {}
    chosen = [(table, name, change) for table, changes in TABLES.items() for name, change in changes.items()
              if set(change.needs) <= set(can)]  # fmt: skip
    # Not all in one directory, which has 16 entries at least.
    places = [f"{fs.point}/changes-{number // 8}/{number}" for number in range(len(chosen))]
    fit = most(fs, "files", FILES * len(chosen)) // FILES
    chosen, places, left_out = chosen[:fit], places[:fit], chosen[fit:]
    before, after = list[os.stat_result](), list[os.stat_result]()
    found = {table: dict[str, Any]() for table in TABLES}
    for table, name, _ in left_out:
        found[table][name] = {"failed": NO_ROOM}
    for place, (_, _, change) in zip(places, chosen, strict=True):
        os.chdir(fs.point)
        prepare(place, can)
        before.append(os.stat(change.watched))
    os.chdir(fs.point)
    let_time_pass(max(max(seen.st_mtime_ns, seen.st_ctime_ns) for seen in before))
    came = []
    for place, (_, _, change) in zip(places, chosen, strict=True):
        os.chdir(place)
        came.append(outcome(change.do))
        after.append(os.stat(change.later) if came[-1] == "done" else before[len(after)])
    os.chdir(fs.point)
    fs.remount()
    for number, (table, name, change) in enumerate(chosen):
        if came[number] != "done":
            found[table][name] = {"failed": came[number]}
            continue
        old, new, kept = before[number], after[number], os.stat(f"{places[number]}/{change.later}")
        found[table][name] = {
            "mtime": new.st_mtime_ns - old.st_mtime_ns,
            "ctime": new.st_ctime_ns - old.st_ctime_ns,
            "kept": kept.st_mtime_ns == new.st_mtime_ns and kept.st_ctime_ns == new.st_ctime_ns,
        }
    return found
