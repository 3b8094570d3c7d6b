"""What passed on this machine: a new lab of the same inputs goes on from the guest that was saved then.

Its verdicts are those of that run. They end with any later run of the same inputs that doesn't pass, with the run, and
with the saved guest.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

from vexlab.config import user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.errors import VexlabError
from vexlab.results.model import Run, Verdict
from vexlab.results.results_file import read
from vexlab.run.up_to_date import Inputs


class Before(NamedTuple):
    """The run that passed, and the directory of the guest that was saved in it."""

    run: Run
    checkpoint: Path


def forget(inputs: Inputs) -> str:
    """Drop what is known of these inputs, because a run of them begins; returns it, for `note`."""
    try:
        known = _record(inputs).read_text()
    except FileNotFoundError:
        return ""
    _record(inputs).unlink(missing_ok=True)
    return known


def note(inputs: Inputs, run: Run, checkpoint: str, known: str) -> None:
    """Take note of a run of these inputs that passed, and of the directory in which its guest was saved.

    One whose guest wasn't saved, or that only judged some checks, leaves what was known before.
    """
    if checkpoint and not run.chosen:
        known = json.dumps({"run": run.run, "checkpoint": checkpoint}) + "\n"
    if known:
        _record(inputs).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(_record(inputs), known)


def find(inputs: Inputs, stages: tuple[str, ...]) -> Before | None:
    """The run of these inputs in which each of these stages passed, if the guest that was saved in it is there."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, VexlabError):  # a removed run is no fault either
        known = json.loads(_record(inputs).read_text())
        checkpoint = Path(known["checkpoint"])
        run = read(user_directories.runs_directory() / known["run"] / "results.json")
        passed = {stage.name for stage in run.stages if stage.verdict is Verdict.PASSED}
        if checkpoint.is_dir() and run.verdict is Verdict.PASSED and passed.issuperset(stages):
            return Before(run, checkpoint)
    return None


def _record(inputs: Inputs) -> Path:
    return user_directories.state_directory() / "checked" / f"{inputs.anywhere}.json"
