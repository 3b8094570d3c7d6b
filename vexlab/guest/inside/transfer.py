"""Ways of data out of a file and into it: reads at its end, readv, sendfile, splice, copy_file_range."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.files import pattern
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import check, libc, syncfs, write

SIZE = 70_000  # bytes of what is copied: more than a pipe takes at once, and no whole number of blocks
REFUSED = ("EINVAL", "EOPNOTSUPP", "ENOSYS", "EXDEV")  # how a way of copying is refused that the filesystem lacks


def create(name: str) -> int:
    """A new file, open for both."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def reads(_fs: Filesystem) -> dict[str, Any]:
    """What reads come to around the end of a file of 5,000 bytes, and of odd arguments."""
    write("reads", b"r" * 5000)
    file = os.open("reads", os.O_RDWR)
    parts = [bytearray(3000), bytearray(0), bytearray(3000)]
    seen: dict[str, Any] = {
        "pread(2) of 4,096 at 4,096": len(os.pread(file, 4096, 4096)),
        "pread(2) of 10 at 4,999": len(os.pread(file, 10, 4999)),
        "pread(2) of 10 at the end": len(os.pread(file, 10, 5000)),
        "pread(2) of 10 at 1 MiB": len(os.pread(file, 10, 1 << 20)),
        "read(2) of nothing": len(os.read(file, 0)),
        "readv(2) of 3,000, 0 and 3,000": os.readv(file, parts),
        "what it read": bytes(parts[0] + parts[2]).count(b"r"),
        "read(2) after it": len(os.read(file, 10)),
        "write(2) of nothing at 10,000": os.pwrite(file, b"", 10_000),
        "the size then": os.fstat(file).st_size,
        "pread(2) at -1": outcome(os.pread, file, 1, -1),
        "pwrite(2) at -1": outcome(os.pwrite, file, b"x", -1),
        "ftruncate(2) to -1": outcome(os.ftruncate, file, -1),
        "lseek(2) to -1": outcome(os.lseek, file, -1, os.SEEK_SET),
        "lseek(2) beyond the end": os.lseek(file, 9000, os.SEEK_SET),
        "read(2) there": len(os.read(file, 10)),
        "writev(2) of three parts there": os.writev(file, [b"ab", b"", b"cde"]),
        "what is there, and before it": os.pread(file, 100, 8998).decode("latin-1"),
    }
    directory = os.open(".", os.O_RDONLY)
    seen["read(2) of a directory"] = outcome(os.read, directory, 10)
    return seen


def through_pipe(source: int, target: int, count: int) -> int:
    """splice(2) so many bytes from one file into a pipe and from that into another; how many came."""
    out, into = os.pipe()
    moved = 0
    while moved < count and (got := os.splice(source, into, count - moved)):
        left = got
        while left:
            left -= os.splice(out, target, left)
        moved += got
    os.close(out)
    os.close(into)
    return moved


def by_sendfile(source: int, target: int, count: int) -> int:
    """sendfile(2) so many bytes; how many came."""
    moved = 0
    while moved < count and (got := os.sendfile(target, source, None, count - moved)):
        moved += got
    return moved


def by_copy_file_range(source: int, target: int, count: int) -> int:
    """copy_file_range(2) so many bytes; how many came."""
    moved = 0
    while moved < count and (got := os.copy_file_range(source, target, count - moved)):
        moved += got
    return moved


WAYS = {"splice(2)": through_pipe, "sendfile(2)": by_sendfile, "copy_file_range(2)": by_copy_file_range}


def answer(function: Callable[..., int], *arguments: int | None) -> list[Any]:
    """What came of a call, and the number that it returned if it did."""
    returned = list[int]()
    came = outcome(lambda: returned.append(function(*arguments)))
    return [came, *returned]


def copies(fs: Filesystem) -> dict[str, list[Any]]:
    """Copy a file in each way, asking for more than it has: what came; bytes that are missing; whether all are right.

    At once and after a remount.
    """
    data = pattern(most(fs, "file_bytes", SIZE))
    write("original", data)
    seen: dict[str, list[Any]] = {}
    for way, copy in WAYS.items():
        source, target = os.open("original", os.O_RDONLY), create(f"copy-{len(seen)}")
        came, *moved = answer(copy, source, target, len(data) + 1000)
        seen[way] = [came, *(len(data) - number for number in moved)]
        os.close(source)
        os.close(target)

    def look() -> None:
        for number, found in enumerate(seen.values()):
            if found[0] == "done":
                with open(f"copy-{number}", "rb") as file:
                    found.append(file.read() == data)

    look()
    fs.remount()
    look()
    return seen


def ranges(fs: Filesystem) -> dict[str, Any]:
    """What copy_file_range(2) does with parts of files, in one file, and with what can't be; `unsupported` alone."""
    if most(fs, "file_bytes", 40_000) < 40_000:
        return {"unsupported": "EFBIG"}
    write("from", pattern(20_000))
    file, other, reader = os.open("from", os.O_RDWR), create("to"), os.open("from", os.O_RDONLY)
    syncfs()
    came = outcome(os.copy_file_range, file, other, 1, 0, 0)
    if came in REFUSED:
        return {"unsupported": came}
    directory = os.open(".", os.O_RDONLY)
    data = pattern(20_000)

    def part(count: int, begin: int, to: int) -> bool:
        os.ftruncate(other, 0)
        moved = os.copy_file_range(file, other, count, begin, to)
        return os.pread(other, 40_000, 0) == bytes(to) + data[begin : begin + moved]

    return {
        "of 5,000 at 4,097 to 3": part(5000, 4097, 3),
        "of 8,192 at 4,096 to 4,096": part(8192, 4096, 4096),
        "of 100 across the end": os.copy_file_range(file, other, 100, 19_990, 0),
        "beyond the end": os.copy_file_range(file, other, 100, 30_000, 0),
        "within one file, apart": os.copy_file_range(file, file, 4096, 0, 12_288),
        "what is there then": os.pread(file, 4096, 12_288) == data[:4096],
        "the file around it": os.pread(file, 12_288, 0) + os.pread(file, 99_999, 16_384)
        == data[:12_288] + data[16_384:],
        "within one file, overlapping": outcome(os.copy_file_range, file, file, 4096, 0, 100),
        "to what is open for reading": outcome(os.copy_file_range, file, reader, 10, 0, 0),
        "to a directory": outcome(os.copy_file_range, file, directory, 10, 0, 0),
    }


def across_pipes(_fs: Filesystem) -> dict[str, Any]:
    """What splice(2) moves from a file of 4,096 bytes to a pipe, at its end, and back; `unsupported` alone."""
    write("page", b"p" * 4096)
    out, into = os.pipe()
    file, target = os.open("page", os.O_RDONLY), create("spliced")
    came, *moved = answer(os.splice, file, into, 10_000)
    if came in REFUSED:
        return {"unsupported": came}
    seen: dict[str, Any] = {
        "splice(2) of 10,000 from a file of 4,096": moved or came,
        "what the pipe holds": os.read(out, 10_000).count(b"p"),
        "splice(2) at the end": os.splice(file, into, 10),
    }
    os.write(into, b"from a pipe")
    came, *moved = answer(os.splice, out, target, 100, None, 5)
    seen["splice(2) into a file at 5"] = moved[0] if moved else came
    seen["what it holds"] = os.pread(target, 100, 0).decode("latin-1")
    return seen


def from_bad_memory(fs: Filesystem) -> dict[str, Any]:
    """Write from memory of which only the first 100 bytes are there, and read into it: `came` is what each returned.

    -1 for EFAULT. `size` and `right` (what is written is right, the rest as it was) are at once and after a remount.
    """
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    check(libc.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0), "mprotect")
    memory[page - 100 : page] = b"m" * 100
    place, count = ctypes.c_void_p(start + page - 100), ctypes.c_size_t(3000)
    seen: dict[str, Any] = {}
    for name, before, offset in (("new", b"", 0), ("within", b"w" * 10000, 5000), ("behind", b"b" * 5000, 9000)):
        file = create(f"bad-{name}")
        os.write(file, before)
        came = int(libc.pwrite(file, place, count, ctypes.c_long(offset)))
        wanted = before
        if came > 0:
            wanted = before.ljust(offset, b"\0")[:offset] + b"m" * came + before[offset + came :]
        seen[name] = [came, os.fstat(file).st_size == len(wanted), os.pread(file, 20000, 0) == wanted, wanted]
        os.close(file)
    with open("bad-within", "rb") as reader:
        seen["reading"] = int(libc.pread(reader.fileno(), place, count, ctypes.c_long(0)))
    fs.remount()
    for name in ("new", "within", "behind"):
        with open(f"bad-{name}", "rb") as reader:
            seen[name] = [*seen[name][:3], reader.read() == seen[name][3]]
    return seen
