"""The runs of another machine become runs of this one, where reports are made of them and the gate decides."""

from __future__ import annotations

import contextlib
import shutil
import tarfile
from pathlib import Path

from vexlab.config import user_directories
from vexlab.errors import VexlabError
from vexlab.gate import evidence
from vexlab.run import scratch


def unpack(archive: Path) -> list[str]:
    """Keep each run in an archive; returns their names. Raises VexlabError for one that isn't as it was sealed."""
    with scratch.directory() as work:
        with tarfile.open(archive) as packed:
            packed.extractall(work, filter="data")
        found = sorted(path for path in work.iterdir() if path.is_dir())
        for path in found:
            keep(path)
    return [path.name for path in found]


def keep(brought: Path) -> None:
    """Keep a run that was brought here, unless it is here, or was; raises VexlabError as `unpack` does."""
    place = user_directories.runs_directory() / brought.name
    if brought.name in here():
        return
    is_sealed = (brought / evidence.SEAL).is_file()
    if is_sealed:
        evidence.check_seal(brought)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.exists():  # it was brought when it had no end yet
        shutil.rmtree(place)
    brought.rename(place)
    if is_sealed:
        evidence.adopt(place)


def here() -> list[str]:
    """The runs that need not be brought, since they are here to their end, or were until somebody removed them."""
    found = {path.parent.name for path in user_directories.runs_directory().glob(f"*/{evidence.SEAL}")}
    with contextlib.suppress(VexlabError):  # of a broken chain nothing counts
        found |= {entry.run for entry in evidence.entries()}
    return sorted(found)
