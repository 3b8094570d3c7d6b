"""What a filesystem can do, measured in a guest: all that its target can claim is claimed, and the checks tell."""

from __future__ import annotations

import re
from pathlib import Path

from vexlab.config import stage_list
from vexlab.config.settings import Options, make
from vexlab.guest import lab as labs
from vexlab.report.terminal import Progress
from vexlab.results.model import Run
from vexlab.run.aside import judged_aside
from vexlab.run.selection import Selection

LONGEST = 32  # characters of a lab's name


def lab_name(target: str) -> str:
    """The name of the lab in which a target is measured."""
    return re.sub(r"[^a-z0-9-]", "-", f"init-{target}")[:LONGEST]


def judged(target: str, file: Path, progress: Progress) -> Run:
    """Judge all stages up to the mount of a target whose file claims everything.

    Raises what kept the first stage from beginning.
    """
    settings = make(lab_name(target), Options(target=str(file), quick=True))
    stages = stage_list.applicable([spec.name for spec in stage_list.stages() if spec.up], settings.contract)
    return judged_aside(labs.find(settings.lab), settings, Selection(tuple(stages)), progress)
