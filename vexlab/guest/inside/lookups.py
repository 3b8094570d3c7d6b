"""Names in each call that takes one, numbers of inodes, and what a new file begins with."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.listing import made
from vexlab.guest.inside.system import read, statfs, syncfs, write

# What is tried in a directory that holds `file` and `dir/`, and what may come of it.
ODD: dict[str, tuple[Callable[[], object], str]] = {
    "mkdir(.)": (lambda: os.mkdir("."), "EEXIST"),
    "mkdir(..)": (lambda: os.mkdir(".."), "EEXIST"),
    "rmdir(.)": (lambda: os.rmdir("."), "EINVAL"),
    "rmdir(dir/..)": (lambda: os.rmdir("dir/.."), "ENOTEMPTY EEXIST"),
    "unlink(.)": (lambda: os.unlink("."), "EISDIR EPERM"),
    "unlink(dir/)": (lambda: os.unlink("dir/"), "EISDIR EPERM ENOTDIR"),
    "unlink(file/)": (lambda: os.unlink("file/"), "ENOTDIR"),
    "stat(file/.)": (lambda: os.stat("file/."), "ENOTDIR"),
    "stat(missing/..)": (lambda: os.stat("missing/.."), "ENOENT"),
    "stat()": (lambda: os.stat(""), "ENOENT"),
    "mkdir()": (lambda: os.mkdir(""), "ENOENT"),
    "mkdir(new/)": (lambda: os.mkdir("new/"), "done"),
    "rmdir(new/)": (lambda: os.rmdir("new/"), "done"),
    "stat of a path of 4,095 bytes": (lambda: os.stat("./" * 2045 + "file"), "done"),
    "stat of a path of 4,097 bytes": (lambda: os.stat("./" * 2047 + "file"), "ENAMETOOLONG"),
}


def odd(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt of ODD, one after the other."""
    os.mkdir("odd")
    os.chdir("odd")
    write("file", "x")
    os.mkdir("dir")
    return {name: outcome(attempt) for name, (attempt, _) in ODD.items()}


def of_length(name: str, can: Sequence[str]) -> dict[str, Callable[[], object]]:
    """Each call that makes a name, with this one, as far as a target that claims this has it; `file` is there."""
    calls: dict[str, tuple[str, Callable[[], object]]] = {
        "open(2) with O_CREAT": ("", lambda: os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))),
        "mkdir(2)": ("directories", lambda: os.mkdir(name)),
        "symlink(2)": ("symbolic-links", lambda: os.symlink("x", name)),
        "link(2)": ("hard-links", lambda: os.link("file", name)),
        "rename(2)": ("rename", lambda: os.rename("file", name)),
    }
    return {call: do for call, (needs, do) in calls.items() if not needs or needs in can}


def lengths(fs: Filesystem, can: Sequence[str]) -> dict[str, list[Any]]:
    """Make a name as long as statfs tells, and one that is a byte longer, by each call in a directory of its own.

    What came of it; and what is listed after a remount: how many names of what lengths beside `file`.
    """
    promised = statfs().f_namemax or 255  # in bytes, of which a character may have several
    longest = most(fs, "name_bytes", min(promised, int(fs.limits.get("name_characters", promised))))
    os.mkdir("lengths")
    places = list[tuple[str, int, str]]()
    for length in (longest, longest + 1):
        name = "n" * length
        for call in of_length(name, can):
            places.append((call, length, f"{fs.point}/lengths/{len(places)}"))
    came = []
    for call, length, place in places:
        os.mkdir(place)
        os.chdir(place)
        write("file", "x")
        came.append(outcome(of_length("n" * length, can)[call]))
    os.chdir(fs.point)
    fs.remount()
    return {
        f"{call} of {'the longest name' if length == longest else 'a byte more'}": [
            came[number],
            sorted(len(name) - longest for name in os.listdir(place) if name != "file"),
        ]
        for number, (call, length, place) in enumerate(places)
    }


def alike(fs: Filesystem) -> dict[str, list[str]]:
    """Make names that differ in a byte, or in length alone: which of them are gone, or hold another's content."""
    longest = most(fs, "name_bytes", 200)
    names = [f"{'b' * (longest - 1)}{digit}" for digit in range(10)] + [
        f"{digit}{'c' * (longest - 1)}" for digit in range(10)
    ]
    names += ["a" * length for length in range(1, min(longest, 40))]
    names = names[: most(fs, "directory_entries", len(names))]
    os.mkdir("alike")
    there = made([f"alike/{name}" for name in names], lambda name: write(name, name))
    for name in there[::5]:
        os.unlink(name)
    fs.remount()
    listed = {f"alike/{name}" for name in os.listdir("alike")}
    stay = [name for number, name in enumerate(there) if number % 5]
    return {
        "gone": sorted(set(stay) - listed)[:3],
        "still there": sorted(listed - set(stay))[:3],
        "with another's content": [name for name in stay if name in listed and read(name) != name][:3],
        "found though it is gone": [name for name in there[::5] if os.path.exists(name)][:3],
    }


def numbers(fs: Filesystem, count: int) -> dict[str, bool]:
    """Whether inode numbers of files tell them apart, are the same by name and by descriptor."""
    os.mkdir("numbers")
    count = most(fs, "directory_entries", count)
    there = made([f"numbers/{number}" for number in range(count)], lambda name: write(name, name))
    first = {name: os.stat(name).st_ino for name in there}
    one = os.open(there[0], os.O_RDONLY)
    seen = {
        "each file has another number": len(set(first.values())) == len(there),
        "none is 0": 0 not in first.values(),
        "fstat(2) tells the same as stat(2)": os.fstat(one).st_ino == first[there[0]],
        "all are on one device": len({os.stat(name).st_dev for name in there}) == 1,
    }
    os.close(one)
    fs.remount()
    seen["nor is it after a remount"] = len({os.stat(name).st_ino for name in there}) == len(there)
    return seen


def dirty_inodes(can: Sequence[str], count: int) -> None:
    """Make files, directories and links with all that an inode can hold, and remove them."""
    there = made([f"old-{number}" for number in range(count)], lambda name: write(name, "o" * 9000))
    for name in there:
        os.utime(name, (1_000_000_000, 1_000_000_000))
        if "permissions" in can:
            os.chown(name, 7, 8)
            os.chmod(name, 0o6777)
    for number in range(5):
        os.mkdir(f"old-dir-{number}")
        write(f"old-dir-{number}/file", "x")
    if "symbolic-links" in can:
        for number in range(5):
            os.symlink("t" * 30, f"old-link-{number}")
            os.unlink(f"old-link-{number}")
    for number in range(5):
        os.unlink(f"old-dir-{number}/file")
        os.rmdir(f"old-dir-{number}")
    for name in there:
        os.unlink(name)
    syncfs()


def begin(fs: Filesystem, can: Sequence[str], count: int) -> dict[str, Any]:
    """What is wrong with so many new files, with directories and links: a line for each kind.

    The inodes of the first may have been used by others; for the rest the kernel has to find new memory.
    """
    os.mkdir("begin")
    os.chdir("begin")
    dirty_inodes(can, 10)
    umask = os.umask(0)
    clock = int(time.time()) - 5
    wrong = dict[str, list[str]](file=[], directory=[], link=[])
    room = min(most(fs, "directory_entries", count + 10), most(fs, "files", count + 20) - 10) - 10
    for number in range(room):
        file = os.open(f"new-{number}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        now = os.fstat(file)
        blocks = now.st_blocks if now.st_blocks > max(16, now.st_blksize // 512) else 0  # some count the inode's own
        found = [f"{stat.S_IMODE(now.st_mode):o}", now.st_uid, now.st_gid, now.st_nlink, now.st_size, blocks]
        wanted = ["640", 0, 0, 1, 0, 0]
        if "permissions" not in can:
            found, wanted = found[3:], wanted[3:]
        if found != wanted:
            wrong["file"].append(f"mode, owner, group, links, size, blocks are {found}, expected {wanted}")
        if min(now.st_mtime, now.st_ctime) < clock:
            wrong["file"].append(f"its times are {now.st_mtime} and {now.st_ctime}, the clock was {clock}")
        os.close(file)
    for number in range(5):
        os.mkdir(f"dir-{number}")
        links, names = os.stat(f"dir-{number}").st_nlink, os.listdir(f"dir-{number}")
        if links not in (1, 2) or names:
            wrong["directory"].append(f"{links} links, names {names}")
        if "symbolic-links" in can:
            os.symlink("s", f"link-{number}")
            if (target := os.readlink(f"link-{number}")) != "s":
                wrong["link"].append(f"it leads to {target}")
    os.umask(umask)
    return {kind: found[:2] for kind, found in wrong.items()}


def many_names(fs: Filesystem, count: int) -> list[list[int]]:
    """Give a file so many names, or as many as it can have: how many there are, and its links.

    With all of them, after a remount, and when all but one were removed.
    """
    os.mkdir("names")
    write("names/first", "x")
    count = most(fs, "directory_entries", count + 1) - 1
    more = made([f"names/{number}" for number in range(count)], lambda name: os.link("names/first", name))

    def look(number: int) -> list[int]:
        return [number, os.stat("names/first").st_nlink, len(os.listdir("names"))]

    seen = [look(len(more) + 1)]
    fs.remount()
    seen.append(look(len(more) + 1))
    for name in more:
        os.unlink(name)
    return [*seen, look(1)]


LONG = (1001, 1023, 1024, 2047, 3000, 4095)  # bytes of the target of a link


def long_links(fs: Filesystem) -> dict[str, list[Any]]:
    """Make a link with each of these long targets: what came of it; whether it leads there at once, after a remount."""
    targets = {str(length): (f"{length}/" * 1000)[:length] for length in LONG}
    seen: dict[str, list[Any]] = {
        name: [outcome(os.symlink, target, f"long-{name}")] for name, target in targets.items()
    }

    def look() -> None:
        for name, target in targets.items():
            if seen[name][0] == "done":
                seen[name].append(os.readlink(f"long-{name}") == target)

    look()
    fs.remount()
    look()
    return seen
