"""Whether the machine that runs the lab still can: the room on its disks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vexlab.errors import OF_THE_DISK, make_room
from vexlab.tracker import MachineProblem

ROOM = 1 << 20  # bytes that must be free where a run writes; its results alone take a fifth of it


def full_disk(directories: Iterable[Path]) -> MachineProblem | None:
    """The first of these directories whose disk has no room left, as a problem; those that aren't there don't count."""
    for directory in directories:
        try:
            disk = os.statvfs(directory)
        except OSError:
            continue
        free = disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)
        if free < ROOM:
            return MachineProblem(f"the disk of {directory} is full on this machine", make_room(directory))
    return None


def unwritable(directories: Iterable[Path]) -> MachineProblem | None:
    """The same, found out by writing: a quota or an error of the disk doesn't show in its free room."""
    for directory in directories:
        path = directory / f".vexlab-{os.getpid()}.tmp"
        try:
            with path.open("wb") as file:
                file.write(b"\1" * 4096)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            if problem.errno in OF_THE_DISK:
                reason = f"nothing can be written to {directory} on this machine: {problem.strerror}"
                return MachineProblem(reason, make_room(directory))
        finally:
            path.unlink(missing_ok=True)
    return None
