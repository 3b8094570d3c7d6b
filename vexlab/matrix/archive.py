"""The directory of a matrix, with its results; and which matrices and cells are kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import sandboxes

from vexlab.config import user_directories
from vexlab.errors import VexlabError
from vexlab.matrix import builder
from vexlab.results import matrix
from vexlab.results.matrix import CellRecord, Tier

KEPT = 20  # matrices


def new_directory(tier: Tier) -> Path:
    """Make the directory of a new matrix; its name sorts by time and says the tier."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{tier}"
    for number in range(1, 1000):
        path = user_directories.matrices_directory() / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True)
            return path
    raise VexlabError(f"{stem} can't be made unique in {user_directories.matrices_directory()}")


def directory_of(name: str) -> Path:
    """The directory of a matrix."""
    return user_directories.matrices_directory() / name


def prune() -> None:
    """Remove the oldest matrices, and the cells that none of the others has and nobody works on.

    A matrix that is at work has its cells from the beginning, whatever of them has ended.
    """
    matrices = _below(user_directories.matrices_directory())
    for path in matrices[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    named = {cell.name for path in matrices[-KEPT:] for cell in _cells(path)}
    for path in _below(user_directories.cells_directory()):
        if path.name not in named:
            _remove(path)


def sandboxes_in_use() -> set[str]:
    """The keys of the user spaces that cells were built in last, as far as they have one of their own."""
    there = user_directories.cache_directory() / sandboxes.DIRECTORY
    known = [builder.known(path) for path in _below(user_directories.cells_directory())]
    return {each.sandbox for each in known if each and (there / each.sandbox).is_dir()}


def _cells(directory: Path) -> tuple[CellRecord, ...]:
    """The cells of a matrix; none of one that can't be read."""
    with contextlib.suppress(VexlabError):
        return matrix.read(directory / matrix.RESULTS).cells
    return ()


def _below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def _remove(cell: Path) -> None:
    """Remove a cell, unless somebody works on it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(cell / "work", os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(cell, ignore_errors=True)
        finally:
            os.close(descriptor)
