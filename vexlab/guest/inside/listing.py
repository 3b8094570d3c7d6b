"""Directories as getdents64(2) tells them: kinds, numbers, positions, and entries that come and go meanwhile."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from vexlab.guest.inside.amounts import SPARE, most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import libc, write

HEADER = struct.Struct("=QqHB")  # struct linux_dirent64 up to its name: d_ino, d_off, d_reclen, d_type
DOTS = (".", "..")


class Entry(NamedTuple):
    """An entry: its inode, the position behind it, its kind (0: not told) and its name."""

    inode: int
    behind: int
    kind: int
    name: str


def batch(directory: int, size: int = 4096) -> list[Entry]:
    """One getdents64(2) with a buffer of so many bytes; empty at the end."""
    buffer = ctypes.create_string_buffer(size)
    got = libc.getdents64(directory, buffer, ctypes.c_size_t(size))
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    found, place = [], 0
    while place < got:
        inode, behind, length, kind = HEADER.unpack_from(buffer, place)
        name = buffer.raw[place + HEADER.size : place + length].split(b"\0", 1)[0]
        found.append(Entry(inode, behind, kind, os.fsdecode(name)))
        place += length
    return found


def batches(directory: int, most: int, size: int = 4096) -> Iterator[list[Entry]]:
    """All batches from here on; fails when there are more than so many entries, since then there is no end."""
    seen = 0
    while found := batch(directory, size):
        yield found
        seen += len(found)
        assert seen <= most, f"getdents64(2) has listed {seen} entries, which are more than there can be"


def entries(directory: int, most: int, size: int = 4096) -> list[Entry]:
    """All entries from here on, in their order, without `.` and `..`."""
    return [entry for found in batches(directory, most, size) for entry in found if entry.name not in DOTS]


def opened(name: str) -> int:
    """A directory, open for reading."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY)


def device(name: str, kind: int) -> None:
    """A device node that is never opened."""
    os.mknod(name, kind | 0o600, os.makedev(123, 45))


def bind(name: str) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as new:
        new.bind(name)


MAKERS: dict[str, tuple[Callable[[str], object], str]] = {
    "file": (lambda name: write(name, "x"), "read-write"),
    "directory": (os.mkdir, "directories"),
    "symbolic link": (lambda name: os.symlink("nowhere", name), "symbolic-links"),
    "FIFO": (os.mkfifo, ""),
    "socket": (bind, ""),
    "character device": (lambda name: device(name, stat.S_IFCHR), ""),
    "block device": (lambda name: device(name, stat.S_IFBLK), ""),
}


def kinds(fs: Filesystem, can: Sequence[str]) -> dict[str, list[int]]:
    """An entry of each kind that can be, and of the dots: d_type, type by lstat(2), d_ino and st_ino, from disk."""
    os.mkdir("kinds")
    os.chdir("kinds")
    for one, (make, needs) in MAKERS.items():
        if needs in can:
            make(one.split()[0])
        elif not needs:
            outcome(make, one.split()[0])  # not each filesystem has it
    os.chdir(fs.point)
    fs.remount()
    os.chdir("kinds")
    for name in os.listdir():
        os.lstat(name)  # FAT gives a number to what somebody has looked at
    found = dict[str, list[int]]()
    directory = opened(".")
    for part in batches(directory, 100):
        for entry in part:
            seen = os.lstat(entry.name)
            kind = stat.S_IFMT(seen.st_mode) >> 12
            assert entry.name not in found, f"{entry.name} is listed twice"
            found[entry.name] = [entry.kind, kind, entry.inode, seen.st_ino]
    os.close(directory)
    kinds_of = {kind.split()[0]: kind for kind in MAKERS}
    return {kinds_of.get(name, name): seen for name, seen in found.items()}


def names(fs: Filesystem, count: int) -> list[str]:
    """So many names of 5 to 45 bytes, less where there is no room in a directory, shorter where names are."""
    count = min(count, most(fs, "directory_entries", count + SPARE) - SPARE)
    longer = most(fs, "name_bytes", 46) - 5
    return [f"{number:04d}{'x' * (1 + number % longer)}" for number in range(count)]


def made(what: Sequence[str], make: Callable[[str], object]) -> list[str]:
    """Make each of these, or as many as there is room for; those that are there then."""
    for number, name in enumerate(what):
        try:
            make(name)
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EMLINK) or number < 2:
                raise
            return list(what[:number])
    return list(what)


def populate(fs: Filesystem, directory: str, count: int) -> list[str]:
    """Make a directory with so many files, or with as many as it can have; their names."""
    os.mkdir(directory)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    return made(names(fs, count), lambda name: os.close(os.open(f"{directory}/{name}", flags)))


def compared(listed: Sequence[str], stay: Sequence[str]) -> dict[str, list[str]]:
    """What is wrong with a listing in which these must be once, and others at most once."""
    count = dict.fromkeys(stay, 0)
    for name in listed:
        count[name] = count.get(name, 0) + 1
    return {
        "left out": sorted(name for name in stay if not count[name])[:3],
        "listed more than once": sorted(name for name, times in count.items() if times > 1)[:3],
    }


def positions(fs: Filesystem, count: int) -> dict[str, Any]:
    """Go back to positions that getdents64(2) told: for each, whether the rest is listed as it was the first time."""
    there = populate(fs, "positions", count)
    directory, other = opened("positions"), opened("positions")
    whole = [entry for found in batches(directory, 3 * count, 1024) for entry in found]
    seen: dict[str, Any] = {}
    for number in (0, 1, 2, 3, 7, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        os.lseek(directory, whole[number].behind, os.SEEK_SET)
        rest = [entry.name for found in batches(directory, 3 * count, 512) for entry in found]
        seen[f"lseek(2) to d_off of entry {number}"] = rest == [entry.name for entry in whole[number + 1 :]]
    half = batch(directory := opened("positions"), 1024)
    assert len(entries(other, 3 * count)) == len(there), "another descriptor of the directory lists something else"
    seen["what another descriptor reads moves nothing"] = (
        half + [entry for found in batches(directory, 3 * count) for entry in found] == whole
    )
    write("positions/late", "")
    os.lseek(directory, 0, os.SEEK_SET)
    again = [entry.name for entry in entries(directory, 3 * count)]
    seen["lseek(2) to 0 lists all, what was made since too"] = sorted(again) == sorted([*there, "late"])
    return seen


# Where no entry begins, within the first entries, behind the last one, and where a number of 32 bits ends.
NOWHERE = (1, 2, 3, 5, 7, 11, 13, 31, 37, 101, 511, 1001, 4095, 4097, 65537, (1 << 31) - 1, 1 << 31, (1 << 32) + 1,
           1 << 62, (1 << 63) - 1)  # fmt: skip
# What such a position may be refused with. EIO and EUCLEAN would call the directory damaged.
NO_POSITION = (errno.EINVAL, errno.ENOENT, errno.EOVERFLOW)


def from_nowhere(fs: Filesystem, count: int) -> dict[str, Any]:
    """Read on from positions that getdents64(2) never told: what is wrong with what comes, at each where something is.

    Last, whether the directory is listed as before.
    """
    there = set(populate(fs, "nowhere", count))
    wrong: dict[str, Any] = {}
    for position in NOWHERE:
        directory = opened("nowhere")
        try:
            os.lseek(directory, position, os.SEEK_SET)
            listed = {entry.name for entry in entries(directory, 2 * len(there) + len(NOWHERE))}
            if odd := sorted(listed - there):
                wrong[f"from position {position}"] = f"names that nobody made: {', '.join(map(repr, odd[:3]))}"
        except OSError as problem:
            if problem.errno not in NO_POSITION:
                wrong[f"from position {position}"] = errno.errorcode.get(problem.errno or 0, str(problem))
        except AssertionError as endless:
            wrong[f"from position {position}"] = str(endless)
        finally:
            os.close(directory)
    again = sorted(entry.name for entry in entries(opened("nowhere"), 2 * len(there)))
    return wrong | ({} if again == sorted(there) else {"from the start, afterwards": "another list than before"})


def too_small(fs: Filesystem) -> dict[str, Any]:
    """What comes of a buffer that has no room for the next entry, and of listing on with one that has."""
    os.mkdir("small")
    length = most(fs, "name_bytes", 100)
    write(f"small/{'n' * length}", "")
    directory = opened("small")
    seen: dict[str, Any] = {}
    while (came := outcome(batch, directory, 24)) == "done" and len(seen) < 4:
        seen[f"{len(seen)}"] = came
    rest = [len(entry.name) - length for entry in batch(directory) if entry.name not in DOTS]
    return {
        "a buffer of 24 bytes before a longer entry": came,
        "how much longer the names are that a larger gets": rest,
    }


def gone(_fs: Filesystem) -> dict[str, Any]:
    """Remove a directory that is open and where one is: what can still be done in it."""
    os.mkdir("gone")
    directory = opened("gone")
    os.chdir("gone")
    os.rmdir("../gone")
    listed = []
    try:
        listed = [entry.name for entry in batch(directory) if entry.name not in DOTS]
    except OSError as problem:
        if problem.errno != errno.ENOENT:
            raise
    return {
        "names that it lists": listed,
        "open(2) with O_CREAT in it": outcome(os.open, "new", os.O_CREAT | os.O_WRONLY),
        "mkdir(2) in it": outcome(os.mkdir, "new"),
        "symlink(2) in it": outcome(os.symlink, "x", "new"),
        "its links": os.fstat(directory).st_nlink,
        "getcwd(2) in it": outcome(os.getcwd),
    }


def many_children(fs: Filesystem, count: int) -> dict[str, list[int]]:
    """Make so many directories in one, or as many as it can have: how many are made, its links, how many it lists.

    With all of them, after a remount, and when all were removed.
    """
    os.mkdir("children")
    count = most(fs, "directory_entries", count)
    there = made([f"children/{number}" for number in range(count)], os.mkdir)

    def look(number: int) -> list[int]:
        return [number, os.stat("children").st_nlink, len(os.listdir("children"))]

    seen = {"full": look(len(there))}
    fs.remount()
    seen["after a remount"] = look(len(there))
    for name in there:
        os.rmdir(name)
    return {**seen, "empty again": look(0)}
