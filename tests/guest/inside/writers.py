"""Several programs that make, rename and remove files in one directory."""

from __future__ import annotations

import os
from pathlib import Path

from inside.filesystem import Filesystem

SIZE = 65536  # bytes of a file


def work(writer: int, files: int) -> None:
    """Write so many files, each full of the writer's number; of three, one is removed again."""
    for turn in range(files):
        name = f"{writer}-{turn}"
        with open(name, "wb") as file:
            for _ in range(0, SIZE, 8192):
                file.write(bytes([writer]) * 8192)
        os.rename(name, name + "-done")
        if turn % 3 == 2:
            os.unlink(f"{writer}-{turn - 1}-done")
        if turn % 5 == 4:
            os.sync()


def start(writer: int, files: int, tell: int) -> int:
    """Start a process that does the work and tells on a pipe what went wrong; its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(writer, files)
            status = 0
        except OSError as problem:
            os.write(tell, f"writer {writer}: {problem}\n".encode())
        finally:
            os._exit(status)
    return child


def write_at_once(_fs: Filesystem, writers: int, files: int) -> list[str]:
    """Have so many writers work at the same time; what went wrong, in words."""
    told, tell = os.pipe()
    children = {writer: start(writer, files, tell) for writer in range(1, writers + 1)}
    os.close(tell)
    with os.fdopen(told, errors="replace") as pipe:
        wrong = pipe.read().splitlines()
    ends = {writer: os.waitpid(child, 0)[1] for writer, child in children.items()}
    return wrong + [f"writer {writer} ended with status {status}" for writer, status in ends.items() if status]


def check(fs: Filesystem, writers: int, files: int) -> None:
    """The files that are left are there, no others, and each holds what its writer wrote."""
    removed = {turn - 1 for turn in range(files) if turn % 3 == 2}
    left = [turn for turn in range(files) if turn not in removed]
    wanted = {f"{writer}-{turn}-done" for writer in range(1, writers + 1) for turn in left}
    seen = set(os.listdir(fs.point)) - {"lost+found"}
    assert seen == wanted, f"gone: {sorted(wanted - seen)[:3]}, too many: {sorted(seen - wanted)[:3]}"
    for name in wanted:
        content = Path(fs.point, name).read_bytes()
        assert content == bytes([int(name.split("-")[0])]) * SIZE, f"{name} does not hold what its writer wrote"
