"""Renders a run as one HTML page for its directory. Judges nothing, and asks for nothing that isn't beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vexlab.config import atomic_file
from vexlab.gate.decision import Decision, Refused
from vexlab.report import again, facts, templating, timeline
from vexlab.report.excerpt import Sources
from vexlab.report.timeline import Execution
from vexlab.results import archive, causes, logs
from vexlab.results.model import WRONG, Check, Run, Stage, Verdict, asked_for

PAGE = "report.html"
KERNEL_LINES = 120  # of the kernel's messages in a stage that went wrong, the last ones
KERNEL_BYTES = 64_000
FRAMES = 12_000  # characters of a trace that are shown


@dataclass(frozen=True)
class Around:
    """What a page tells beside the results of a run.

    `options` are put after suggested commands; `decision` is what the gate says; `executions` tell when what ran;
    `doubts` are what a reader has to know before believing the rest; `cut_off`: nobody goes on with it any more.
    `links` is the directory of the run, from where the page is.
    """

    options: str = ""
    decision: Decision | Refused | None = None
    executions: Sequence[Execution] = ()
    doubts: Sequence[str] = ()
    cut_off: bool = False
    links: str = "."


def write(run: Run, directory: Path, around: Around) -> Path:
    """Write the page into the directory of a run and return its path; raises VexlabError where that can't be."""
    path = directory / PAGE
    atomic_file.replace_file(path, render(run, directory, around))
    return path


def render(run: Run, directory: Path, around: Around) -> str:
    """Return the page of a run, whose directory that is."""
    told = facts.of(run, around.options, around.decision, logs.traces(directory))
    if around.cut_off:
        told |= {"headline": "CUT OFF", "summary": "the run was cut off before its end"}
    sources = Sources(run, _source(directory))
    told["failures"] = [_failure(run, row, directory, sources, around) for row in told["failures"]]
    return templating.render(
        "run.html.j2",
        **told,
        first=told["failures"][0] if told["failures"] else None,
        doubts=around.doubts,
        timeline=timeline.picture(run, around.executions),
        groups=[group for number, stage in enumerate(run.stages) if (group := _group(number, stage))],
        verdicts=_choices(run),
        skipped=_skipped(run),
        files=[
            (name, path, href(directory, path, around.links))
            for name, path in sorted(run.evidence.items())
            if path != PAGE
        ],
        again=again.whole(run, around.options),
        lab=around.options.removeprefix(" --name "),
        source=_source(directory),
    )


def href(directory: Path, path: str, links: str = ".") -> str:
    """Return a link to a file of a run; empty when there is none in its directory by that name."""
    return f"{links}/{quote(path, errors='backslashreplace')}" if archive.file_of(directory, path) else ""


def _source(directory: Path) -> str:
    """Return where the source of the module was on this machine; empty if nothing tells."""
    try:
        contract = json.loads((directory / "contract.json").read_text(encoding="utf-8"))
        return str(contract.get("vexlab_source") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _failure(run: Run, row: dict[str, Any], directory: Path, sources: Sources, around: Around) -> dict[str, Any]:
    """Return what a stage that went wrong has on a page, beside what every report tells of it."""
    stage: Stage = row["stage"]
    log = stage.kernel_log or ""
    path = archive.file_of(directory, log)
    kernel, left = _last_lines(path) if path else ("", 0)
    return row | {
        "place": sources.of_words(stage.reason),
        "causes": [_cause(cause, sources) for cause in row["causes"]],
        "files": [(path, href(directory, path, around.links)) for path in row["evidence"]],
        "kernel": kernel,
        "kernel_left": left,
        "trace": [(line, "(" in line and sources.names_a_place(line)) for line in row["trace"][:FRAMES].split("\n")]
        if row["trace"]
        else [],
        "again": again.failed(run, stage, directory, around.options),
        "again_first": again.failed(run, stage, directory, around.options, most=1),
    }


def _cause(cause: causes.Cause, sources: Sources) -> dict[str, Any]:
    lead = cause.lead
    return {
        "lead": lead,
        "others": cause.others,
        "title": causes.first_line(lead.message) or lead.verdict,
        "place": sources.of_words(lead.message),
        "check": sources.of_check(lead),
    }


def _last_lines(path: Path) -> tuple[str, int]:
    """Return the last lines of a log, and how many bytes come before them; nothing of one that can't be read."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            begin = max(0, size - KERNEL_BYTES)
            stream.seek(begin)
            lines = stream.read(KERNEL_BYTES).decode(errors="replace").splitlines()
    except (OSError, ValueError):
        return "", 0
    shown = "\n".join(lines[-KERNEL_LINES:])
    return shown, max(0, size - len(shown.encode()) - 1)


def _group(number: int, stage: Stage) -> dict[str, Any] | None:
    """Return the checks of a stage as rows; None when there are none. What is promised is said once of siblings."""
    rows: list[dict[str, Any]] = []
    promised = ""
    for index, check in enumerate(stage.checks):
        rows.append(
            {"id": f"check-{number}-{index}", "check": check, "promise": check.promise * (check.promise != promised)}
        )
        promised = check.promise
    return {"stage": stage, "rows": rows} if rows else None


def _choices(run: Run) -> list[tuple[str, str]]:
    """Return the verdicts that a check came to, each with how often, what went wrong first."""
    counts = Counter(check.verdict for stage in run.stages for check in stage.checks)
    order = [*WRONG, *(verdict for verdict in Verdict if verdict not in WRONG)]
    return [(verdict, f"{templating.word(verdict)} ({counts[verdict]})") for verdict in order if counts[verdict]]


def _skipped(run: Run) -> list[tuple[str, list[tuple[str, Check]]]]:
    """Return what was skipped by its reason: those of one reason together."""
    found: dict[str, list[tuple[str, Check]]] = {}
    for stage in asked_for(run):
        for check in stage.checks:
            if check.verdict is Verdict.SKIPPED:
                found.setdefault(causes.first_line(check.message), []).append((stage.name, check))
    return sorted(found.items(), key=lambda each: -len(each[1]))
