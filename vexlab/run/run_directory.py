"""The directory of a run: made for a new one, and whether the command that writes to it is still at work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from vexlab.config import user_directories
from vexlab.errors import VexlabError
from vexlab.guest.lab import started


def new_directory(lab: str) -> Path:
    """Make the directory of a new run; its name sorts by time and says the lab."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{lab}"
    for number in range(1, 1000):
        path = user_directories.runs_directory() / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        (path / "lab").write_text(f"{lab}\n")
        (path / "process").write_text(f"{os.getpid()} {started(os.getpid())}\n")
        return path
    raise VexlabError(f"{stem} can't be made unique in {user_directories.runs_directory()}")


def is_running(path: Path) -> bool:
    """Whether the command that made a run's directory is still there; one that was killed is not."""
    try:
        pid, since = (path / "process").read_text().split()
        return started(int(pid)) == since
    except (OSError, ValueError):
        return False


def words_of(runs: Mapping[str, str]) -> dict[str, str]:
    """What is said of each run that has not ended, by its name: running or killed; the values tell when one ended."""
    base = user_directories.runs_directory()
    return {name: "running" if is_running(base / name) else "killed" for name, finished in runs.items() if not finished}
