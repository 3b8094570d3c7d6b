"""Flags of open(2) and of preadv2(2), files without a name, and two who write to one file."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.amounts import most, room
from vexlab.guest.inside.attempts import NAMES, outcome
from vexlab.guest.inside.children import SECONDS, WAITS, child
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import copy_to_device
from vexlab.guest.inside.system import check, libc, read, syncfs, write

AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
RECORD = 1024  # bytes of a record of a writer


def opened(name: str, flags: int, mode: int = 0o600) -> int:
    """open(2)."""
    return os.open(name, flags, mode)


def new(name: str, content: bytes = b"") -> int:
    """A file that is made, open for both."""
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    return descriptor


def append_by_turns(fs: Filesystem) -> dict[str, Any]:
    """Two descriptors with O_APPEND that write by turns, a cut between them, and a pwrite(2) to the beginning."""
    first, other = new("turns"), os.open("turns", os.O_WRONLY | os.O_APPEND)
    last = os.open("turns", os.O_WRONLY | os.O_APPEND)
    for turn in range(3):
        os.write(other, b"a%d " % turn)
        os.write(last, b"b%d " % turn)
    seen: dict[str, Any] = {"two descriptors with O_APPEND, by turns": os.pread(first, 100, 0).decode()}
    os.ftruncate(first, 6)
    os.write(other, b"c")
    seen["ftruncate(2) to 6 bytes, then a write with O_APPEND"] = os.pread(first, 100, 0).decode()
    os.lseek(last, 0, os.SEEK_SET)
    os.write(last, b"d")
    seen["lseek(2) to 0, then a write with O_APPEND"] = os.pread(first, 100, 0).decode()
    os.pwrite(last, b"e", 0)
    seen["pwrite(2) to 0 with O_APPEND"] = os.pread(first, 100, 0).decode()
    for descriptor in (first, other, last):
        os.close(descriptor)
    fs.remount()
    seen["after a remount"] = read("turns")
    return seen


def records(name: str, letter: bytes, count: int) -> None:
    """Append so many records, each by one write(2)."""
    descriptor = os.open(name, os.O_WRONLY | os.O_APPEND)
    for _ in range(count):
        assert os.write(descriptor, letter * RECORD) == RECORD, "a write(2) of a record was cut short"
    os.close(descriptor)


def append_at_once(fs: Filesystem, count: int) -> dict[str, Any]:
    """Two processes append so many records to one file at the same time, or as many as it can have.

    How many each appended; how many the size is, and how many of each are whole.
    """
    count = most(fs, "file_bytes", 2 * count * RECORD) // (2 * RECORD)
    os.close(new("both"))
    with child(lambda: records("both", b"c", count)) as other:
        records("both", b"p", count)
        ended = other.told(SECONDS)
    with open("both", "rb") as file:
        data = file.read()
    pieces = [data[place : place + RECORD] for place in range(0, len(data), RECORD)]
    return {
        "records": count,
        "what came of the other process": ended,
        "records of the size": len(data) // RECORD,
        "whole records of the one": pieces.count(b"p" * RECORD),
        "whole records of the other": pieces.count(b"c" * RECORD),
    }


PARTS = (1, 511, 4096, 10_000, 1 << 20, 65_537, 1 << 20)  # bytes of one write after the other


def write_in_parts(descriptor: int, content: bytes, size: int) -> None:
    """Write so many bytes of a content, in parts of all lengths."""
    place = 0
    for part in itertools.cycle(PARTS):
        if place >= size:
            break
        place += os.pwrite(descriptor, content[place : min(place + part, size)], place)


def read_beside_a_writer(fs: Filesystem, size: int) -> dict[str, Any]:
    """Read a file to its end, over and over, while another process writes it; it has no byte that is zero.

    What came of that process, and the first place where something was read that it never wrote.
    """
    size = most(fs, "file_bytes", min(size, room(3)))
    content = bytes(range(1, 252)) * (size // 251 + 1)
    descriptor = new("beside")
    seen, wrong, ended = 0, "nowhere", WAITS
    with child(lambda: write_in_parts(descriptor, content, size)) as writer:
        while ended == WAITS and wrong == "nowhere":
            ended = writer.told(0)
            data = os.pread(descriptor, size, seen)
            if data != content[seen : seen + len(data)]:
                place = next(number for number, byte in enumerate(data) if byte != content[seen + number])
                wrong = f"at {seen + place} of {os.fstat(descriptor).st_size} bytes: {data[place]}"
            seen += len(data)
        ended = writer.told(SECONDS)
    os.close(descriptor)
    return {"what came of the writer": ended, "read what nobody wrote": wrong}


def flags(_fs: Filesystem) -> dict[str, Any]:
    """What comes of flags of open(2), on a file `there` of 5 bytes, a directory and a link to the file."""
    os.mkdir("opening")
    os.chdir("opening")
    write("there", "12345")
    os.mkdir("dir")
    create, only = os.O_CREAT | os.O_WRONLY, os.O_WRONLY
    seen: dict[str, Any] = {
        "O_CREAT|O_EXCL of a new name": outcome(opened, "made", create | os.O_EXCL),
        "O_CREAT|O_EXCL of a name that is there": outcome(opened, "there", create | os.O_EXCL),
        "O_CREAT of a name that is there": outcome(opened, "there", create),
        "O_CREAT of a directory": outcome(opened, "dir", create),
        "O_CREAT of new/": outcome(opened, "new/", create),
        "O_DIRECTORY of a file": outcome(opened, "there", os.O_RDONLY | os.O_DIRECTORY),
        "O_WRONLY of a directory": outcome(opened, "dir", only),
        "O_RDONLY of an empty path": outcome(opened, "", os.O_RDONLY),
    }
    seen["the size of the file that O_CREAT opened"] = os.stat("there").st_size
    reader, writer = os.open("there", os.O_RDONLY), os.open("there", os.O_WRONLY)
    seen["write(2) to what is open for reading"] = outcome(os.write, reader, b"x")
    seen["read(2) of what is open for writing"] = outcome(os.read, writer, 1)
    seen["ftruncate(2) of what is open for reading"] = outcome(os.ftruncate, reader, 0).replace("EBADF", "EINVAL")
    os.close(os.open("there", os.O_WRONLY | os.O_TRUNC))
    seen["the size for who has the file open, after O_TRUNC by another"] = os.fstat(reader).st_size
    seen["what it reads then"] = len(os.read(reader, 10))
    path = os.open("dir", os.O_PATH)
    seen["openat(2) with O_CREAT in an O_PATH directory"] = outcome(
        lambda: os.close(os.open("inside", create, dir_fd=path))
    )
    seen["its name by the path"] = os.path.exists("dir/inside")
    return seen


def links(_fs: Filesystem) -> dict[str, Any]:
    """What comes of flags of open(2) on symbolic links, and of a chain of them that is too long."""
    os.mkdir("following")
    os.chdir("following")
    write("there", "12345")
    os.symlink("there", "link")
    os.symlink("missing", "dangling")
    for number in range(45):  # in directories, of which some have room for few
        if number % 15 == 0:
            os.mkdir(f"{number // 15}")
        before = f"{(number - 1) // 15}/{number - 1}" if number else "there"
        os.symlink(f"../{before}", f"{number // 15}/{number}")
    return {
        "O_NOFOLLOW of a symbolic link": outcome(opened, "link", os.O_RDONLY | os.O_NOFOLLOW),
        "O_CREAT|O_EXCL of a symbolic link to nothing": outcome(
            opened, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY
        ),
        "a chain of 30 symbolic links": outcome(opened, "2/30", os.O_RDONLY),
        "a chain of 44 symbolic links": outcome(opened, "2/44", os.O_RDONLY),
        "O_CREAT of a symbolic link to nothing": outcome(opened, "dangling", os.O_CREAT | os.O_WRONLY),
        "the file that this made": os.path.exists("missing"),
        "unlink(2) of the link": outcome(os.unlink, "link"),
        "the file it led to": os.path.exists("there"),
    }


def per_call(_fs: Filesystem) -> dict[str, Any]:
    """What the flags of preadv2(2) and pwritev2(2) come to on a file that holds `12345`."""
    file = new("percall", b"12345")
    buffer = bytearray(5)
    seen: dict[str, Any] = {
        "pwritev2(2) with RWF_DSYNC": outcome(lambda: os.pwritev(file, [b"A"], 0, os.RWF_DSYNC)),
        "pwritev2(2) with RWF_SYNC": outcome(lambda: os.pwritev(file, [b"B"], 1, os.RWF_SYNC)),
        "pwritev2(2) with RWF_APPEND to 0": outcome(lambda: os.pwritev(file, [b"E"], 0, os.RWF_APPEND)),
        "preadv2(2) with RWF_HIPRI": outcome(lambda: os.preadv(file, [buffer], 0, os.RWF_HIPRI)),
        "preadv2(2) with RWF_NOWAIT": outcome(lambda: os.preadv(file, [buffer], 0, os.RWF_NOWAIT)),
        "pwritev2(2) with a flag that there isn't": outcome(lambda: os.pwritev(file, [b"X"], 0, 1 << 30)),
        "what the file holds": os.pread(file, 100, 0).decode(),
    }
    os.close(file)
    return seen


def written(name: str, flag: int, data: bytes) -> None:
    """Write to a file that is there and empty, through a descriptor with this flag."""
    descriptor = os.open(name, os.O_WRONLY | flag)
    assert os.write(descriptor, data) == len(data), "a write(2) was cut short"
    os.close(descriptor)


def written_per_call(name: str, flag: int, data: bytes) -> None:
    """The same with the flag at the call."""
    descriptor = os.open(name, os.O_WRONLY)
    assert os.pwritev(descriptor, [data], 0, flag) == len(data), "a pwritev2(2) was cut short"
    os.close(descriptor)


SYNCHRONOUS: dict[str, tuple[Callable[[str, int, bytes], None], int]] = {
    "O_SYNC": (written, os.O_SYNC),
    "O_DSYNC": (written, os.O_DSYNC),
    "RWF_SYNC": (written_per_call, os.RWF_SYNC),
    "RWF_DSYNC": (written_per_call, os.RWF_DSYNC),
}


def write_synchronously(fs: Filesystem, twin: str, size: int) -> None:
    """Write a file in each synchronous way, and copy the device as it is when each has returned; then unmount.

    The names are there and synced before. The way that asks least, in the newest form, is the last: whatever ignores it
    finds no sync after it that would do its work.
    """
    for way in SYNCHRONOUS:
        os.close(new(way))
    syncfs()
    for way, (how, flag) in SYNCHRONOUS.items():
        how(way, flag, way[-6:].encode() * (most(fs, "file_bytes", size) // 6))
    copy_to_device(fs.image, twin)
    fs.unmount()


def found_on_the_copy(fs: Filesystem, size: int) -> dict[str, str]:
    """What of `write_synchronously` is on the copy, mounted for that: done, or what is wrong."""
    fs.mount()
    seen = {}
    for way in SYNCHRONOUS:
        with open(way, "rb") as file:
            data = file.read()
        wanted = way[-6:].encode() * (most(fs, "file_bytes", size) // 6)
        seen[way] = "done" if data == wanted else f"{len(data)} bytes, {len(data) - data.count(0)} of them not zero"
    fs.unmount()
    return seen


def temporary(fs: Filesystem) -> dict[str, Any]:
    """What O_TMPFILE makes, and what linkat(2) makes of it; `unsupported` alone where it isn't supported."""
    os.mkdir("temporary")
    try:
        file = os.open("temporary", os.O_TMPFILE | os.O_RDWR, 0o640)
    except OSError as problem:
        if problem.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return {"unsupported": NAMES[problem.errno]}
        raise
    os.write(file, b"content")
    seen: dict[str, Any] = {
        "its links": os.fstat(file).st_nlink,
        "names in the directory": len(os.listdir("temporary")),
        "what it reads": os.pread(file, 10, 0).decode(),
    }
    path = f"/proc/self/fd/{file}".encode()
    check(libc.linkat(AT_FDCWD, path, AT_FDCWD, b"temporary/named", ctypes.c_int(AT_SYMLINK_FOLLOW)), "temporary/named")
    seen["its links when linkat(2) named it"] = os.fstat(file).st_nlink
    os.close(file)
    closed = os.open("temporary", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    path = f"/proc/self/fd/{closed}".encode()
    seen["linkat(2) of one with O_EXCL"] = outcome(
        lambda: check(libc.linkat(AT_FDCWD, path, AT_FDCWD, b"temporary/no", ctypes.c_int(AT_SYMLINK_FOLLOW)))
    )
    os.close(closed)
    fs.remount()
    seen["names after a remount"] = os.listdir("temporary")
    seen["what the named one holds then"] = read("temporary/named")
    return seen


def without_a_name(fs: Filesystem, size: int) -> dict[str, Any]:
    """Unlink a file that is open, write to it, and have others write: what it reads, and its links."""
    size = (most(fs, "file_bytes", size + 6) - 6) // 5 * 5
    file, second = new("nameless", b"before"), os.open("nameless", os.O_RDONLY)
    os.unlink("nameless")
    os.pwrite(file, b"after" * (size // 5), 6)
    write("other", b"o" * size)
    syncfs()
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)  # what is read then comes from the device, if there is one
    data = os.pread(second, size + 6, 0)
    seen = {
        "its links": os.fstat(file).st_nlink,
        "what another descriptor reads is what was written": data == b"before" + b"after" * (size // 5),
        "ftruncate(2) of it": outcome(os.ftruncate, file, 3),
        "what it reads then": os.pread(second, 10, 0).decode(),
        "a new file of its name": outcome(write, "nameless", "new"),
        "what that holds": read("nameless"),
        "what the old one reads still": os.pread(second, 10, 0).decode(),
    }
    os.close(file)
    os.close(second)
    for name in ("nameless", "other"):
        os.unlink(name)
    return seen
