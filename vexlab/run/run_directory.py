"""The directory of a new run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from vexlab.config import user_directories
from vexlab.errors import VexlabError


def new_directory(lab: str) -> Path:
    """Make the directory of a new run; its name sorts by time and says the lab."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{lab}"
    for number in range(1, 1000):
        path = user_directories.runs_directory() / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return path
    raise VexlabError(f"{stem} can't be made unique in {user_directories.runs_directory()}")
