"""Several programs that make, rename and remove files in one directory."""

from __future__ import annotations

import os
from pathlib import Path

from vexlab.guest.inside.amounts import most, room
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import put

SIZE = 65536  # bytes of a file, where it can have so many


def work(writer: int, files: int, size: int, can_rename: bool) -> None:
    """Write so many files, each full of the writer's number; of three, one is removed again."""
    for turn in range(files):
        name = f"{writer}-{turn}" if can_rename else done(writer, turn)
        descriptor = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for place in range(0, size, 8192):
            put(descriptor, bytes([writer]) * min(8192, size - place))
        os.close(descriptor)
        if can_rename:
            os.rename(name, done(writer, turn))
        if turn % 3 == 2:
            os.unlink(done(writer, turn - 1))
        if turn % 5 == 4:
            os.sync()


def done(writer: int, turn: int) -> str:
    """The name of a file that is written."""
    return f"{writer}-{turn}-done"


def amounts(fs: Filesystem, writers: int, want: int) -> list[int]:
    """How many files each of so many writers can have, of those that are wanted, and of how many bytes."""
    names = min(most(fs, "directory_entries", writers * want + 1), most(fs, "files", writers * want + 1)) - 1
    files = max(3, min(want, names // writers))
    return [files, most(fs, "file_bytes", min(SIZE, room(2 * writers * files)))]


def start(writer: int, files: int, size: int, can_rename: bool, tell: int) -> int:
    """Start a process that does the work and tells on a pipe what went wrong; its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(writer, files, size, can_rename)
            status = 0
        except (OSError, AssertionError) as problem:
            os.write(tell, f"writer {writer}: {problem}\n".encode())
        finally:
            os._exit(status)
    return child


def write_at_once(fs: Filesystem, writers: int, files: int, size: int) -> list[str]:
    """Have so many writers work at the same time; what went wrong, in words."""
    told, tell = os.pipe()
    children = {writer: start(writer, files, size, "rename" in fs.can, tell) for writer in range(1, writers + 1)}
    os.close(tell)
    with os.fdopen(told, errors="replace") as pipe:
        wrong = pipe.read().splitlines()
    ends = {writer: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for writer, child in children.items()}
    return wrong + [f"writer {writer} ended with {code}" for writer, code in ends.items() if code]


def check(fs: Filesystem, writers: int, files: int, size: int) -> None:
    """The files that are left are there, no others, and each holds what its writer wrote."""
    removed = {turn - 1 for turn in range(files) if turn % 3 == 2}
    left = [turn for turn in range(files) if turn not in removed]
    wanted = {done(writer, turn) for writer in range(1, writers + 1) for turn in left}
    seen = {name.lower() for name in os.listdir(fs.point)} - {"lost+found"}
    gone, many = ", ".join(sorted(wanted - seen)[:3]), ", ".join(sorted(seen - wanted)[:3])
    assert seen == wanted, f"names that are gone: {gone or 'none'}; names too many: {many or 'none'}"
    for name in wanted:
        content = Path(fs.point, name).read_bytes()
        assert content == bytes([int(name.split("-")[0])]) * size, f"{name} does not hold what its writer wrote"
