"""Which runs nobody misses, and their removal. The chain of runs keeps the verdict of each."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import store

from vexlab.gate import readiness_file
from vexlab.guest import lab as labs
from vexlab.results import archive
from vexlab.run import run_directory, up_to_date


@dataclass(frozen=True)
class Removal:
    """A run that goes: its directory, and how many MiB it takes on the disk."""

    directory: Path
    mib: int


def plan(directories: Sequence[Path], keep: int, older_than: timedelta, now: datetime) -> list[Removal]:
    """Return what of these runs goes, the oldest first.

    Of each lab the newest `keep` stay, whatever their age. A run that goes on stays, and one that a readiness file or
    what a lab remembers as good rests on.
    """
    needed = readiness_file.runs_relied_on() | {up_to_date.run_of(lab) for lab in labs.all_labs()}
    seen: dict[str, int] = {}
    removals = []
    for path in sorted(directories, reverse=True):
        lab = archive.lab_of(path)
        seen[lab] = seen.get(lab, 0) + 1
        is_young = datetime.fromtimestamp(path.stat().st_mtime, UTC) > now - older_than
        if seen[lab] > keep and not is_young and path.name not in needed and not run_directory.is_running(path):
            removals.append(Removal(path, store.size_mib(path)))
    return removals[::-1]


def remove(removals: Sequence[Removal]) -> None:
    """Remove the directories; raises OSError for one that can't be."""
    for removal in removals:
        shutil.rmtree(removal.directory)
