"""The logs of a run: which there are, in the order in which they were written, and which tells of what went wrong.

All of it is in the run's directory, so that it holds when the lab is gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vexlab.config import stage_list
from vexlab.results.model import DIED, WRONG, Run, Stage, Verdict

OF_A_STAGE = {"kernel": "kernel.log", "trace": "trace.txt"}
OF_AN_EXECUTION = {"build": "build.log", "console": "console.log", "ansible": "ansible.log"}
KINDS = ("build", "kernel", "console", "ansible", "trace")


@dataclass(frozen=True)
class Log:
    """One file, and what it is of, such as `stage mount, part 2`; empty for the only execution of a run."""

    title: str
    path: Path


def find(directory: Path, kind: str, stage: str = "") -> list[Log]:
    """The logs of a kind below the directory of a run: one execution after the other, stages in their order.

    `stage`: only those of this stage, of logs that are kept by stage.
    """
    found: list[Log] = []
    for place in executions(directory):
        execution = "" if place == directory else place.name.replace("-", " ")
        if kind in OF_AN_EXECUTION:
            found += [Log(execution, path) for path in [place / OF_AN_EXECUTION[kind]] if path.is_file()]
            continue
        names = [stage] if stage else _stages(place)
        paths = [place / "stages" / name / OF_A_STAGE[kind] for name in names]
        titles = [", ".join(filter(None, (f"stage {name}", execution))) for name in names]
        found += [Log(title, path) for title, path in zip(titles, paths, strict=True) if path.is_file()]
    return found


def first_wrong(run: Run) -> Stage | None:
    """The first stage that went wrong; None when none did."""
    return next((stage for stage in run.stages if stage.verdict in WRONG), None)


def of_stage(run: Run, stage: Stage) -> str:
    """The kind of log that tells what went wrong in a stage."""
    if stage.verdict in DIED:
        place = f"stages/{stage.name}/{OF_A_STAGE['trace']}"
        return "trace" if any(path.endswith(place) for path in run.evidence.values()) else "console"
    if stage.name in OF_AN_EXECUTION and stage.name in run.evidence:
        return stage.name
    bad = any(check.verdict in (Verdict.NOT_RUN, *WRONG) for check in stage.checks)
    return "kernel" if bad else "ansible"  # what a role said is nowhere else


def traces(directory: Path) -> dict[str, str]:
    """The traces with source lines of a run by their stage: that of the first death of each."""
    found: dict[str, str] = {}
    for log in find(directory, "trace"):
        found.setdefault(log.path.parent.name, log.path.read_text(encoding="utf-8", errors="replace"))
    return found


def executions(directory: Path) -> list[Path]:
    """The directory of a run, and those in it of what was run beside that or after something went wrong, by number."""
    kind = re.compile(r"(fork|part|rerun)-(\d+)(?:-part-(\d+))?")
    later = [(path, kind.fullmatch(path.name)) for path in directory.iterdir() if path.is_dir()]
    ordered = sorted((found[1], int(found[2]), int(found[3] or 0), path) for path, found in later if found)
    return [directory, *(path for *_, path in ordered)]


def _stages(place: Path) -> list[str]:
    """The stages that left something in the directory of an execution, in their order."""
    there = [path.name for path in (place / "stages").iterdir()] if (place / "stages").is_dir() else []
    return sorted(there, key=lambda name: (stage_list.position(name), name))
