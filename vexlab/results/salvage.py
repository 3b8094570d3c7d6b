"""What can be told of a run whatever became of its results: of one that was cut off, what its checks left."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from vexlab.config import stage_list
from vexlab.errors import VexlabError
from vexlab.results import archive, judging, logs, results_file
from vexlab.results.causes import causes
from vexlab.results.model import WRONG, Run, Stage, Verdict
from vexlab.results.stage_record import StageRecord

CUT_OFF = "the run was cut off in this stage"


def read(directory: Path) -> tuple[Run, list[str]]:
    """Return the run of a directory, and what a reader has to know of it, as sentences.

    Of a run without an end or without results that can be read, nothing that it didn't write down has passed.
    """
    try:
        run = results_file.read(directory / archive.RESULTS)
    except VexlabError as problem:
        told = f"{problem.message}; what follows is what its checks left, and no verdict is taken from them"
        return _from_records(directory), [told]
    return run, []


def with_remains(run: Run, directory: Path) -> tuple[Run, list[str]]:
    """Return a run that was cut off with the checks of the stage that went on then, and what can't be read of them."""
    doubts: list[str] = []
    stages = []
    for stage in run.stages:
        left = None if stage.checks or stage.verdict is not Verdict.NOT_RUN else _left(directory, stage.name, doubts)
        stages.append(left or stage)
    verdict = judging.judge_run(stages, run.selected)
    return replace(run, stages=tuple(stages), verdict=verdict, evidence=_evidence(directory) | run.evidence), doubts


def _from_records(directory: Path) -> Run:
    """Return a run that is known by nothing but what it left."""
    try:
        contract = json.loads((directory / "contract.json").read_text(encoding="utf-8"))
        target = str(contract["vexlab_target_name"])
    except (OSError, ValueError, KeyError, TypeError):
        target = "unknown target"
    try:
        began = datetime.strptime(directory.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).isoformat()
    except ValueError:
        began = ""
    stages = tuple(Stage(spec.name) for spec in stage_list.stages())
    left = {path.name for place in logs.executions(directory) for path in (place / "stages").glob("*")}
    selected = tuple(stage.name for stage in stages if stage.name in left)
    return Run(directory.name, Verdict.NOT_RUN, target, began, None, "", None, None, stages, {}, selected)


def _left(directory: Path, name: str, doubts: list[str]) -> Stage | None:
    """Return a stage as its checks left it when the run was cut off; None when it left nothing."""
    parts = []
    for place in logs.executions(directory):
        record = StageRecord(place, name)
        try:
            checks = record.all_checks(Verdict.NOT_RUN, "the run was cut off during it", is_no_verdict=False)
        except VexlabError as problem:
            doubts.append(problem.message)
            continue
        if not checks:
            continue
        wrong = causes([check for check in checks if check.verdict in WRONG])
        verdict, reason = (Verdict.FAILED, wrong[0].line) if wrong else (Verdict.NOT_RUN, CUT_OFF)
        log = record.kernel_log()
        seconds = round(sum(check.seconds for check in checks), 1)
        kernel_log = str(log.relative_to(directory)) if log else None
        parts.append(Stage(name, verdict, seconds, reason, checks, kernel_log))
    return judging.merge_stages(parts) if parts else None


def _evidence(directory: Path) -> dict[str, str]:
    """Return the logs that are there, by a name for each."""
    found = [(kind, log) for kind in logs.KINDS for log in logs.find(directory, kind)]
    return {" ".join(filter(None, (kind, log.title))): str(log.path.relative_to(directory)) for kind, log in found}
