"""What GitHub Actions shows of a run: an annotation at the place of each cause, and a summary of the step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vexlab.report.terminal import summary as stage_summary
from vexlab.report.text import _QUIET, _clean, cell, fence, place_in_source, place_of
from vexlab.results.model import Run, Stage, Verdict, asked_for

SHOWN = 10
"""Annotations that GitHub shows of one step."""


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
    """Return the commands that make GitHub show what went wrong; `workspace` is the directory of the repository."""
    bad = [stage for stage in run.stages if stage.verdict not in _QUIET]
    lines = [line for stage in bad for line in _of_stage(stage, workspace, source)]
    return lines[:SHOWN]


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


def _of_stage(stage: Stage, workspace: str, source: str) -> list[str]:
    """Return the commands for a stage: one per check that went wrong, or one for the stage itself."""
    bad = [check for check in stage.checks if check.verdict not in _QUIET]
    if not bad or stage.verdict not in {check.verdict for check in bad} | {Verdict.FAILED}:
        place = place_in_source(stage.reason) or place_of("", stage.reason)
        return [error(f"stage {stage.name} {stage.verdict}", stage.reason, place, workspace, source)]
    titles = {f"{stage.name}/{check.name} {check.verdict}": check for check in bad}
    return [
        error(title, check.message, place_in_source(check.message) or place_of(check.place, ""), workspace, source)
        for title, check in titles.items()
    ]


def _escaped(text: str, more: str = "") -> str:
    """Return text as a workflow command can have it; `more` characters are escaped too."""
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
