"""Whether the machine that runs the lab still can: the room on its disks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from vexlab.errors import OF_THE_DISK, make_room
from vexlab.guest.failure import MachineProblem

DOUBTFUL = 64 << 20  # free bytes below which it is tried whether there is room
ROOM = 1 << 20  # bytes that must be free where a run writes; its results alone take a fifth of it


def full_disk(directories: Iterable[Path]) -> MachineProblem | None:
    """The first of these directories whose disk has no room left, as a problem; those that aren't there don't count."""
    for directory in directories:
        try:
            disk = os.statvfs(directory)
        except OSError:
            continue
        if disk.f_bavail * disk.f_frsize < DOUBTFUL and not _has_room(directory):
            return MachineProblem(f"the disk of {directory} is full on this machine", make_room(directory))
    return None


def _has_room(directory: Path) -> bool:
    """Whether there is room; a filesystem keeps some of what it calls free for itself, or gives it to root alone."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError as problem:
        return problem.errno not in OF_THE_DISK
    return True


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
