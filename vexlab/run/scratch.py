"""Directories for what is needed while a command runs. None stays, whatever ends the command."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vexlab.config import user_directories
from vexlab.guest import reaper

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make a directory that nobody else can read; removed at the end, whatever is in it then."""
    with _removed_at_the_end() as path:
        yield path


@contextlib.contextmanager
def directory_and_sockets() -> Iterator[tuple[Path, Path]]:
    """Make such a directory, and one for sockets where paths are short: that of a socket has 107 bytes at the most."""
    sockets = Path(tempfile.mkdtemp(prefix="vexlab-"))
    try:
        with _removed_at_the_end(sockets) as path:
            yield path, sockets
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


@contextlib.contextmanager
def _removed_at_the_end(*more: Path) -> Iterator[Path]:
    """Make a directory and remove it at the end; whatever ends this process, the reaper removes it and `more`."""
    path, lock = _make()
    try:
        with reaper.guarded([path, *more], [lock]):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[Path, int]:
    """Make a directory: its path, and the descriptor of the lock that says that somebody needs it."""
    parent = user_directories.state_directory() / "scratch"
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = os.open(parent, _OPEN)
    try:
        fcntl.flock(making, fcntl.LOCK_EX)  # one that was only just made has no lock yet
        _sweep(parent)
        path = Path(tempfile.mkdtemp(dir=parent))
        lock = os.open(path, _OPEN)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(making)
    return path, lock


def _sweep(parent: Path) -> None:
    """Remove what is left of a command that is gone, and whose reaper was killed as well: nobody holds its lock."""
    for path in parent.iterdir():
        with contextlib.suppress(OSError):
            lock = os.open(path, _OPEN | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
