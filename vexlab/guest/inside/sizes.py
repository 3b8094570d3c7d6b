"""Sizes and offsets: large ones, the largest, holes, room that is taken, and what is behind the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import syncfs, write, write_out

MIB = 1 << 20
FAR = [(1 << 31) - 2, 1 << 31, (1 << 32) - 2, 1 << 32, (1 << 32) + 4099, 1 << 40]  # places of three bytes each
MARK = b"far"


def create(name: str) -> int:
    """A new file, open for both."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def look_far(name: str, place: int) -> list[Any]:
    """Size of a file, what it holds there, and where else it isn't zero: at the beginning, or a wrapped place."""
    file = os.open(name, os.O_RDONLY)
    size = os.lseek(file, 0, os.SEEK_END)
    wrapped = {0, place & 0xFFFFFFFF, place & 0x7FFFFFFF, place - 4096} - {place}
    other = sorted(where for where in wrapped if where >= 0 and os.pread(file, 3, where).strip(b"\0"))
    found = os.pread(file, 10, place)
    os.close(file)
    return [size, found.decode("latin-1"), other]


def far(fs: Filesystem) -> dict[str, list[Any]]:
    """Write three bytes at each place of FAR, a file each: what came of it, and the file then and after a remount."""
    came = []
    for number, place in enumerate(FAR):
        file = create(f"far-{number}")
        came.append(outcome(os.pwrite, file, MARK, place))
        os.close(file)
    at_once = [look_far(f"far-{number}", place) for number, place in enumerate(FAR)]
    fs.remount()
    return {
        str(place): [came[number], at_once[number], look_far(f"far-{number}", place)]
        for number, place in enumerate(FAR)
    }


def longest() -> int:
    """The longest that a file can be made, found by trying; the file `longest` is left empty."""
    file = create("longest")
    low, high = 0, 1 << 63  # possible, and impossible
    while high - low > 1:
        middle = (low + high) // 2
        try:
            os.ftruncate(file, middle)
            low = middle
        except OSError as problem:
            if problem.errno not in (errno.EFBIG, errno.EINVAL):
                raise
            high = middle
    os.ftruncate(file, 0)
    os.close(file)
    return low


def at_the_limit(fs: Filesystem) -> dict[str, Any]:
    """What a file does at its longest (`limit`): cut to that, written and read around it, and after a remount."""
    limit = longest()
    file = os.open("longest", os.O_RDWR)
    os.ftruncate(file, limit)
    seen: dict[str, Any] = {
        "limit": limit,
        "st_size after ftruncate(2) to the limit": os.fstat(file).st_size,
        "pread(2) of the last byte": outcome(lambda: os.pread(file, 1, limit - 1)),
        "pread(2) in the middle": outcome(lambda: os.pread(file, 1, limit // 2)),
        "pwrite(2) behind the limit": outcome(os.pwrite, file, b"x", limit),
        "pwrite(2) of the last byte": outcome(os.pwrite, file, b"z", limit - 1),
        "st_size then": os.fstat(file).st_size,
    }
    os.close(file)
    fs.remount()
    seen["st_size after a remount"] = os.stat("longest").st_size
    if seen["pwrite(2) of the last byte"] == "done":
        with open("longest", "rb") as reader:
            seen["the last byte after a remount"] = os.pread(reader.fileno(), 1, limit - 1).decode()
    os.unlink("longest")
    return seen


def taken(name: str) -> int:
    """How many bytes a file takes, all written."""
    file = os.open(name, os.O_RDONLY)
    write_out(file)
    size = os.fstat(file).st_blocks * 512
    os.close(file)
    return size


def room(fs: Filesystem, truncates: bool) -> dict[str, int]:
    """How many bytes a file of 1 MiB of noise takes after each step, as st_blocks tells; `size` where it is shorter."""
    size = most(fs, "file_bytes", MIB)
    noise = os.urandom(size)
    write("room", noise)
    seen = {"size": size, "written": taken("room")}
    for _ in range(3):
        file = os.open("room", os.O_WRONLY)
        os.write(file, noise)
        write_out(file)
        os.close(file)
    seen["written over three times"] = taken("room")
    if truncates:
        os.truncate("room", size // 2)
        seen["cut to half"] = taken("room")
    fs.remount()
    seen["after a remount"] = taken("room")
    os.close(os.open("room", os.O_WRONLY | os.O_TRUNC))
    seen["cut to nothing"] = taken("room")
    os.unlink("room")
    return seen


def segments(file: int, size: int) -> list[list[int]]:
    """Begin and end of each part that is data, as lseek(2) tells."""
    found, place = [], 0
    while place < size:
        try:
            start = os.lseek(file, place, os.SEEK_DATA)
        except OSError as problem:
            if problem.errno != errno.ENXIO:
                raise
            break
        place = os.lseek(file, start, os.SEEK_HOLE)
        assert place > start >= 0, f"SEEK_DATA tells {start}, SEEK_HOLE from there {place}"
        found.append([start, place])
    return found


def holes(fs: Filesystem) -> dict[str, Any]:
    """What SEEK_DATA and SEEK_HOLE tell of a file with 64 KiB at 0 and in the middle of 2 MiB; `unsupported` alone.

    Less where a file can't have so many: `filled` is how many bytes are at each, `size` how many there are.
    `data` is a list of parts: before anything is written out, after fsync(2), after a remount.
    """
    size = most(fs, "file_bytes", 2 * MIB) // 2 * 2
    filled = size // 32
    file = create("holes")
    os.pwrite(file, b"d" * filled, size // 2)
    os.pwrite(file, b"d" * filled, 0)
    os.ftruncate(file, size)
    came = outcome(os.lseek, file, 0, os.SEEK_DATA)
    if came == "EINVAL":
        return {"unsupported": came}
    data = [segments(file, size)]
    write_out(file)
    data.append(segments(file, size))
    seen: dict[str, Any] = {
        "SEEK_DATA at the end": outcome(os.lseek, file, size, os.SEEK_DATA),
        "SEEK_HOLE at the end": outcome(os.lseek, file, size, os.SEEK_HOLE),
        "SEEK_DATA beyond the end": outcome(os.lseek, file, size + 1, os.SEEK_DATA),
    }
    os.close(file)
    fs.remount()
    with open("holes", "rb") as reader:
        data.append(segments(reader.fileno(), size))
    write("full", b"d" * 4000)
    with open("full", "rb") as reader:
        seen["SEEK_HOLE in a file without a hole"] = os.lseek(reader.fileno(), 5, os.SEEK_HOLE)
        seen["SEEK_DATA in it"] = os.lseek(reader.fileno(), 5, os.SEEK_DATA)
    return {**seen, "filled": filled, "size": size, "data": data}


# What is done to a file of 10,000 bytes that was cut to 5,000 before a remount; its size then. Only the first 5,000
# bytes, and the last in `filled`, aren't zero.
GROWN: dict[str, tuple[Callable[[str], None], int, int]] = {
    "truncate(2) to 20,000": (lambda name: os.truncate(name, 20000), 20000, 0),
    "truncate(2) to 8,192": (lambda name: os.truncate(name, 8192), 8192, 0),
    "truncate(2) to 5,001": (lambda name: os.truncate(name, 5001), 5001, 0),
    "pwrite(2) of a byte at 7,000": (lambda name: put(name, 7000), 7001, 1),
    "pwrite(2) of a byte at 30,000": (lambda name: put(name, 30000), 30001, 1),
}


def put(name: str, place: int) -> None:
    """Write a byte."""
    file = os.open(name, os.O_WRONLY)
    os.pwrite(file, b"z", place)
    os.close(file)


def look_behind(name: str) -> list[int]:
    """Size of a file, and how many bytes of it behind the first 5,000 aren't zero."""
    with open(name, "rb") as file:
        data = file.read()
    return [len(data), len(data) - 5000 - data[5000:].count(0)]


def behind_the_end(fs: Filesystem) -> dict[str, list[Any]]:
    """Let a file that was cut before a remount grow in each way of GROWN: how it looks at once, and after another."""
    ways = {way: case for way, case in GROWN.items() if most(fs, "file_bytes", max(10000, case[1])) >= case[1]}
    for number in range(len(ways)):
        write(f"grown-{number}", b"y" * 10000)
    syncfs()
    for number in range(len(ways)):
        os.truncate(f"grown-{number}", 5000)
    fs.remount()
    for number, (grow, _, _) in enumerate(ways.values()):
        grow(f"grown-{number}")
    at_once = [look_behind(f"grown-{number}") for number in range(len(ways))]
    fs.remount()
    return {way: [at_once[number], look_behind(f"grown-{number}")] for number, way in enumerate(ways)}


def noise_below(fs: Filesystem, mkfs: str, size: int) -> dict[str, list[Any]]:
    """Fill so many bytes of the device with letters and format it: what of them shows in files, at once and from disk.

    For each file its size, and how many of its bytes are such a letter.
    """
    with open(fs.device, "r+b") as device:
        for _ in range(size >> 20):
            device.write(b"N" * MIB)
        device.flush()
        os.fsync(device)
    shell(mkfs)
    fs.mount()
    longest = most(fs, "file_bytes", 300_000)
    write("short", b"s" * 100)
    write("grown", b"s" * 100)
    os.truncate("grown", min(longest, 6000))
    for name, place in (("behind", 9000), ("further", 299_999)):
        write(name, b"s")
        put(name, min(longest - 1, place))
    os.close(create("hole"))
    os.truncate("hole", min(longest, 50_000))
    file = create("middle")
    os.ftruncate(file, min(longest, 100_000))
    os.pwrite(file, b"s", min(longest, 100_000) // 2)
    os.close(file)

    def look() -> dict[str, list[int]]:
        found = {}
        for name in ("short", "grown", "behind", "further", "hole", "middle"):
            with open(name, "rb") as reader:
                data = reader.read()
            found[name] = [len(data), data.count(b"N")]
        return found

    at_once = look()
    fs.unmount()
    fs.mount()
    later = look()
    fs.unmount()
    return {name: [at_once[name], later[name]] for name in at_once}
