"""What GitHub Actions shows of a run: an annotation at the place of each cause, and a summary of the step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vexlab.report.terminal import summary as stage_summary
from vexlab.report.text import _QUIET, _clean, cell, fence, place_in_source, place_of
from vexlab.results.causes import Cause, causes
from vexlab.results.model import DIED, Run, Stage, Verdict, asked_for

SHOWN = 10
"""Annotations that GitHub shows of one step."""


class _Told(NamedTuple):
    """One annotation, before it is known which files are in the repository."""

    verdict: Verdict
    title: str
    message: str
    place: tuple[str, int] | None


def tell(run: Run, environment: Mapping[str, str], source: str = "") -> str:
    """Add the summary of a run to that of the step, if there is one; returns the lines to print, with a new line each.

    `source` is the directory of the module's source, to which the places of a kernel's trace are relative.

    Outside of GitHub Actions, as `environment` tells, nothing is done, and nothing returned.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return ""
    if step := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(step_summary(run))
    return "".join(f"{line}\n" for line in commands(run, environment.get("GITHUB_WORKSPACE", ""), source))


def commands(run: Run, workspace: str, source: str = "") -> list[str]:
    """Return the commands that make GitHub show what went wrong; `workspace` is the directory of the repository.

    What died is first, and then each stage's causes as reports order them: no more are shown than ten.
    """
    told = [each for stage in run.stages if stage.verdict not in _QUIET for each in _of_stage(stage)]
    told.sort(key=lambda each: each.verdict not in DIED)
    return [error(each.title, each.message, each.place, workspace, source) for each in told[:SHOWN]]


def error(title: str, message: str, place: tuple[str, int] | None, workspace: str, source: str = "") -> str:
    """Return one command; a file that isn't in the repository is not named, since GitHub could show nothing of it."""
    properties = {"title": title}
    if place is not None:
        root = Path(workspace or "/").resolve()
        paths = (Path(directory, place[0]).resolve() for directory in (source, workspace) if directory)
        path = next((path for path in paths if path.is_relative_to(root) and path.is_file()), None)
        if path is not None:
            properties = {"file": str(path.relative_to(root)), "line": str(place[1])} | properties
    written = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in properties.items())
    return f"::error {written}::{_escaped(_clean(message).strip())}"


def step_summary(run: Run) -> str:
    """Return a run in Markdown, as short as can be: each stage with its counts and its reason."""
    lines = [f"### vexlab: {cell(run.target)} {run.verdict}", "", "| stage | verdict | |", "|---|---|---|"]
    asked = asked_for(run)
    lines += [f"| {cell(stage.name)} | {stage.verdict} | {cell(stage_summary(stage))} |" for stage in asked]
    for stage in asked:
        if stage.details:
            lines += ["", fence(stage.details)]
    return "\n".join([*lines, "", f"Run `{run.run}`", "", ""])


def _of_stage(stage: Stage) -> list[_Told]:
    """What is told of a stage: each cause by its most telling check, each error of a compiler, or the stage itself."""
    bad = [check for check in stage.checks if check.verdict not in _QUIET]
    if not bad or stage.verdict not in {check.verdict for check in bad} | {Verdict.FAILED}:
        title = f"stage {stage.name} {stage.verdict}"
        if errors := [line for line in stage.details.splitlines() if re.search(": (?:fatal )?error: ", line)]:
            return [_Told(stage.verdict, title, line, place_of("", line)) for line in errors]
        place = place_in_source(stage.reason) or place_of("", stage.reason)
        return [_Told(stage.verdict, title, stage.reason, place)]
    return [_of_cause(stage, cause) for cause in causes(bad)]


def _of_cause(stage: Stage, cause: Cause) -> _Told:
    """What is told of a cause: the words and the place of its first check, and how many others share it."""
    check, others = cause.lead, len(cause.others)
    shared = f" (and of {others} more check{'s' if others > 1 else ''})" if others else ""
    title = f"{stage.name}/{check.name} {check.verdict}{shared}"
    return _Told(check.verdict, title, check.message, place_in_source(check.message) or place_of(check.place, ""))


def _escaped(text: str, more: str = "") -> str:
    """Return text as a workflow command can have it; `more` characters are escaped too."""
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
