"""Mapped memory and the file behind it: mmap(2)."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import blocks
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import syncfs, write

PAGE = mmap.PAGESIZE
SECRET = b"behind the end, in memory only"  # no filesystem writes that by itself


def map_of(name: str, length: int, access: int = mmap.ACCESS_WRITE, offset: int = 0) -> mmap.mmap:
    """A mapping of a file that may be longer than the file; Python itself refuses that."""
    size, descriptor = os.stat(name).st_size, os.open(name, os.O_RDWR)
    try:
        os.ftruncate(descriptor, max(size, offset + length))
        memory = mmap.mmap(descriptor, length, access=access, offset=offset)
        os.ftruncate(descriptor, size)
        return memory
    finally:
        os.close(descriptor)


def touch(memory: mmap.mmap, place: int, store: bool) -> str:
    """Load or store a byte of a mapping, by way of a pipe: EFAULT where a program would get SIGBUS, else `done`."""
    here = ctypes.c_char.from_buffer(memory, place)
    address = ctypes.c_void_p(ctypes.addressof(here))
    del here
    out, into = os.pipe()
    try:
        if not store:
            return outcome(counted, "write", into, address, 1)
        os.write(into, b"!")
        return outcome(counted, "read", out, address, 1)
    finally:
        os.close(out)
        os.close(into)


def with_read_and_write(fs: Filesystem) -> list[str]:
    """What read(2) gives of a store, a mapping of a write(2), and another mapping of a store; then after a remount."""
    write("both", b"." * 10000)
    with open("both", "r+b") as file:
        number = file.fileno()
        with mmap.mmap(number, 0) as memory, mmap.mmap(number, 0, access=mmap.ACCESS_READ) as other:
            memory[4094:4098] = b"mmap"
            found = [os.pread(number, 4, 4094).decode(), other[4094:4098].decode()]
            os.pwrite(number, b"write", 8190)
            found.append(memory[8190:8195].decode())
            memory.flush()
    fs.remount()
    content = Path("both").read_bytes()
    return [*found, content.replace(b".", b"").decode()]


def private(_fs: Filesystem) -> list[str]:
    """Store through a private mapping: what that and the file hold then."""
    write("private", b"." * 5000)
    with open("private", "r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as memory:
        memory[0:4] = b"mine"
        syncfs()
        return [memory[0:4].decode(), os.pread(file.fileno(), 4, 0).decode()]


def beyond_the_end(_fs: Filesystem) -> dict[str, str]:
    """Map three pages of a file of 5,000 bytes: what comes of touching bytes before and behind its end."""
    write("short", b"x" * 5000)
    memory = map_of("short", 3 * PAGE)
    seen = {
        "load in the last page, behind the end": touch(memory, 5001, store=False),
        "load in the first page behind the last": touch(memory, 2 * PAGE, store=False),
        "store in the first page behind the last": touch(memory, 2 * PAGE, store=True),
        "size": str(os.stat("short").st_size),
    }
    memory.close()
    return seen


def tail(fs: Filesystem) -> list[Any]:
    """Store behind the end in the last page of a file, and msync.

    How many bytes there weren't zero before; the size afterwards, how many bytes aren't zero after a remount when
    the file is made longer, and whether the image of the unmounted device has them anywhere.
    """
    write("tail", b"x" * 5000)
    syncfs()
    with open("tail", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        behind = ctypes.c_char.from_buffer(memory, 4999)
        address = ctypes.addressof(behind) + 1
        del behind
        room = 2 * PAGE - 5000
        before = room - ctypes.string_at(address, room).count(0)
        ctypes.memmove(address, SECRET, len(SECRET))
        memory[0:1] = b"y"
        memory.flush()
    size, found = os.stat("tail").st_size, False
    if fs.persistent:
        fs.unmount()
        found = fs.shape == "block" and any(SECRET in block for _, block in blocks(fs.image))
        fs.mount()
    after = 0
    if fs.persistent:
        os.truncate("tail", 2 * PAGE)
        with open("tail", "rb") as reader:
            after = sum(map(bool, reader.read()[5000:]))
    return [before, size, after, found]


def cut_and_grown(_fs: Filesystem) -> dict[str, Any]:
    """Cut a mapped file of four pages in its second one, and let it grow again: what comes of it in the mapping."""
    write("cut", b"x" * 4 * PAGE)
    memory = map_of("cut", 4 * PAGE)
    seen: dict[str, Any] = {"before": touch(memory, 3 * PAGE, store=False)}
    os.truncate("cut", PAGE + 100)
    seen["in the last page, not zero"] = sum(map(bool, memory[PAGE + 100 : 2 * PAGE]))
    seen["load in a page that was cut off"] = touch(memory, 3 * PAGE, store=False)
    os.truncate("cut", 4 * PAGE)
    seen["grown again, load there"] = touch(memory, 3 * PAGE, store=False)
    seen["grown again, not zero"] = sum(map(bool, memory[PAGE + 100 :]))
    seen["in front of the cut"] = memory[: PAGE + 100] == b"x" * (PAGE + 100)
    memory.close()
    return seen


def times_of_a_store(_fs: Filesystem) -> list[float]:
    """Store through a new mapping of an old file, and msync: the seconds of its time of modification and of change."""
    write("old", b"x" * 100)
    os.utime("old", (1000, 1000))
    before = os.stat("old").st_ctime
    with open("old", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"y"
        memory.flush()
    seen = os.stat("old")
    return [seen.st_mtime, seen.st_ctime - before]


def holes(fs: Filesystem) -> list[Any]:
    """Store into two pages of a hole of sixteen: what isn't zero at once, and after a remount."""
    write("hole", b"")
    os.truncate("hole", 16 * PAGE)
    with open("hole", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[3 * PAGE] = 1
        memory[15 * PAGE + 5] = 2
        memory.flush()

    def differing() -> list[list[int]]:
        with open("hole", "rb") as reader:
            return [[place, byte] for place, byte in enumerate(reader.read()) if byte]

    at_once = differing()
    fs.remount()
    return [at_once, differing()]


def aligned(content: bytes) -> mmap.mmap:
    """Memory that begins at a page, as O_DIRECT wants it."""
    memory = mmap.mmap(-1, max(PAGE, len(content)))
    memory[: len(content)] = content
    return memory


def direct(fs: Filesystem) -> dict[str, str]:
    """Read and write with O_DIRECT and through the page cache by turns: what each sees of the other.

    `open` alone if it can't be opened with O_DIRECT: open(2), EINVAL.
    """
    write("direct", b"c" * 4 * PAGE)
    flags = os.O_RDWR | os.O_DIRECT
    if (came := outcome(lambda: os.close(os.open("direct", flags)))) != "done":
        return {"open": came}
    file, cached = os.open("direct", flags), os.open("direct", os.O_RDWR)
    seen = {"open": "done"}
    try:
        attempts: dict[str, Callable[[], str]] = {
            "a direct read of what write(2) wrote": lambda: read_direct(file, PAGE),
            "read(2) of a direct write": lambda: put_direct(file, b"d" * PAGE, PAGE) or peek(cached, PAGE),
            "a mapping of a direct write": lambda: through_a_mapping(file),
            "a direct read of a write(2) over a direct write": lambda: (
                put(cached, b"w", PAGE) or read_direct(file, PAGE)
            ),
            "a direct write behind the end": lambda: (
                put_direct(file, b"e" * PAGE, 4 * PAGE)
                or f"{os.fstat(file).st_size // PAGE} pages, {peek(cached, 4 * PAGE)}"
            ),
            "a direct read at the end": lambda: read_direct(file, 5 * PAGE),
        }
        for name, attempt in attempts.items():
            try:
                seen[name] = attempt()
            except OSError as problem:
                seen[name] = str(problem)
    finally:
        os.close(file)
        os.close(cached)
    fs.remount()
    with open("direct", "rb") as reader:
        content = reader.read()
    seen["after a remount"] = "".join(chr(content[place]) for place in range(0, len(content), PAGE))
    return seen


def read_direct(file: int, offset: int) -> str:
    """The first byte of a page that is read directly, or how few bytes came."""
    memory = aligned(b"?")
    count = os.preadv(file, [memory], offset)
    found = chr(memory[0]) if count == PAGE else f"{count} bytes"
    memory.close()
    return found


def put_direct(file: int, content: bytes, offset: int) -> str:
    """Write pages directly; how few bytes were taken, if not all."""
    memory = aligned(content)
    count = os.pwritev(file, [memory], offset)
    memory.close()
    return "" if count == len(content) else f"{count} bytes written"


def put(file: int, content: bytes, offset: int) -> str:
    """Write through the page cache; says nothing."""
    os.pwrite(file, content, offset)
    return ""


def peek(file: int, offset: int) -> str:
    """A byte through the page cache."""
    return os.pread(file, 1, offset).decode() or "nothing"


def through_a_mapping(file: int) -> str:
    """The byte of a mapping that was there before, and is written directly."""
    with mmap.mmap(file, 4 * PAGE) as memory:
        first = chr(memory[2 * PAGE])
        return put_direct(file, b"m" * PAGE, 2 * PAGE) or first + chr(memory[2 * PAGE])
