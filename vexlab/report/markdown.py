"""Renders a run for people, as Markdown. Judges nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import jinja2

from vexlab.config import target
from vexlab.gate import run_criteria
from vexlab.gate.decision import Decision, Refused
from vexlab.report.text import _QUIET, _clean
from vexlab.results import logs, model, results_file
from vexlab.results.causes import causes
from vexlab.results.model import DIED, Check, Run, Stage, Verdict

_MESSAGE_LINES = 40
"""Lines of a failed check's message that the Markdown report shows; results.json has them all."""

_NAMES = 40
"""Names of checks that were not run that it shows of a stage; results.json has them all."""


def render_json(run: Run, *, unchanged_since: str | None = None) -> str:
    """Return the document that `results.json` holds.

    `unchanged_since`: when its verdicts were given, if nothing was run because nothing has changed since then.
    """
    if unchanged_since is None:
        return results_file.encode(run)
    return results_file.as_text(results_file.to_document(run) | {"unchanged_since": unchanged_since})


def render_markdown(
    run: Run, command_options: str = "", decision: Decision | Refused | None = None,
    traces: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Return the progress report of a run, written for somebody who has to decide on it.

    `command_options` is put after suggested commands, such as ` --name LAB` for a lab that isn't the default one;
    `decision` is what the gate says of the run's module, `traces` the trace of each stage in which a kernel died.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=False,  # noqa: S701 - Markdown; the filters escape what Markdown knows
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters.update(cell=cell, code=code, fence=fence)
    checks = [(stage, check) for stage in run.stages for check in stage.checks]
    return environment.get_template("report.md.j2").render(
        run=run,
        passed=run.verdict is Verdict.PASSED,
        not_claimed=target.not_claimed(run.contract.claims) if run.contract else [],
        headline=_word(run.verdict).upper() if run.finished else "IN PROGRESS",
        date=run.started.partition("T")[0],
        time=_time(run),
        summary=_summary(run),
        stages=[
            {"stage": stage, "word": _word(stage.verdict), **_counts(stage.checks)} for stage in model.asked_for(run)
        ],
        completed=sum(stage.verdict is Verdict.PASSED for stage in run.stages if stage.name in run.selected),
        totals=_counts([check for _, check in checks]),
        categories=_categories(run),
        failures=[_failure(run, stage, traces or {}) for stage in run.stages if stage.verdict not in _QUIET],
        skips=[(stage.name, check) for stage, check in checks if check.verdict is Verdict.SKIPPED],
        left_out=model.left_out(run),
        known=[(stage.name, check) for stage, check in model.known_failures(run)],
        advice=[(stage.name, check) for stage, check in model.advice(run)],
        not_run=[row for stage in run.stages if (row := _not_run(run, stage))],
        risk=run_criteria.risk(run),
        steps=run_criteria.next_steps(run, command_options),
        criteria=run_criteria.criteria(run),
        protocol=run_criteria.PROTOCOL,
        decision=decision if isinstance(decision, Decision) else None,
        refused=decision.why if isinstance(decision, Refused) else "",
        gate_command=f"vexlab gate{command_options}",
    )


def cell(text: object) -> str:
    """Return text for a table cell or a place in a line: one line, nothing that Markdown or HTML would act on."""
    return re.sub(r"([\\|`*<>\[\]])", r"\\\1", " ".join(_clean(str(text)).split()))


def code(text: object) -> str:
    """Return text as a code span for a table cell; a dash when there is none."""
    line = " ".join(_clean(str(text)).split())
    if not line:
        return "-"
    ticks = "`" * (_longest_ticks(line) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|")


def fence(text: str, rest: str = "are in results.json") -> str:
    """Return text as a code block that nothing in it can end, cut to a length that a reader will read.

    `rest`: where the lines are that are cut off, as the end of a sentence.
    """
    lines = _clean(text).strip("\n").splitlines() or ["(no message)"]
    if len(lines) > _MESSAGE_LINES:
        lines = [*lines[:_MESSAGE_LINES], f"... {len(lines) - _MESSAGE_LINES} more lines {rest}"]
    ticks = "`" * max(3, _longest_ticks(text) + 1)
    return "\n".join([f"{ticks}text", *lines, ticks])


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _word(verdict: Verdict) -> str:
    return verdict.replace("_", " ")


def _time(run: Run) -> str:
    """Say when the run began, and how long it took, as far as its time stamps can be read."""
    try:
        started = datetime.fromisoformat(run.started)
        seconds = (datetime.fromisoformat(run.finished) - started).total_seconds() if run.finished else None
    except (ValueError, TypeError):
        return run.started
    took = "" if seconds is None else f", took {int(seconds // 60)} min {seconds % 60:.0f} s"
    return started.timetz().isoformat(timespec="seconds") + took


def _summary(run: Run) -> str:
    if not run.finished:
        return "VM tests are running; what is said here is not final"
    if run.verdict is Verdict.PASSED:
        return "every selected stage passed in the VM"
    wrong = next((stage for stage in run.stages if stage.verdict not in _QUIET), None)
    if wrong is not None:
        return f"stage {wrong.name} {_word(wrong.verdict)}: {wrong.reason}"
    return f"no stage went wrong, but not every selected stage passed; not passed: {', '.join(_not_passed(run))}"


def _not_passed(run: Run) -> list[str]:
    passed = {stage.name for stage in run.stages if stage.verdict is Verdict.PASSED}
    return [name for name in run.selected if name not in passed] or ["nothing was selected"]


def _counts(checks: Sequence[Check]) -> dict[str, int]:
    verdicts = [check.verdict for check in checks]
    quiet = {str(verdict): verdicts.count(verdict) for verdict in _QUIET}
    return quiet | {"failed": len(verdicts) - sum(quiet.values())}


def _categories(run: Run) -> list[dict[str, str]]:
    """Return the categories of this run's stages, then those of which it has no stage."""
    rows = []
    for stage in run.stages:
        known = run_criteria.CATEGORIES.get(stage.name)
        state, counts = _word(stage.verdict), _counts(stage.checks)
        if stage.verdict is Verdict.NOT_RUN:
            state += f" ({stage.reason})" if stage.reason else " (not selected)" * (stage.name not in run.selected)
        elif counts["xfailed"]:
            state += f" ({counts['xfailed']} known to fail)"
        about = known.about if known else "a stage of this target's own"
        rows.append({"title": known.title if known else stage.name.title(), "state": state, "about": about})
    names = {stage.name for stage in run.stages}
    rows += [
        {"title": category.title, "state": "not run (no such stage in this run)", "about": category.about}
        for name, category in run_criteria.CATEGORIES.items()
        if name not in names
    ]
    return rows


def _not_run(run: Run, stage: Stage) -> dict[str, object] | None:
    """Return what of a stage was not run and why: the whole of it, or some of its checks; None when nothing."""
    if stage.verdict is Verdict.NOT_RUN and not stage.checks:
        unselected = "it was not selected" if stage.name not in run.selected else "the run ended before it"
        return {"stage": stage.name, "why": stage.reason or unselected, "names": [], "more": 0}
    names = [check.name for check in stage.checks if check.verdict is Verdict.NOT_RUN]
    if not names:
        return None
    why = f"{len(names)} of its {len(stage.checks)} checks were not reached"
    return {"stage": stage.name, "why": why, "names": names[:_NAMES], "more": len(names[_NAMES:])}


def _failure(run: Run, stage: Stage, traces: Mapping[str, str]) -> dict[str, object]:
    """Return what a reader needs of a stage that went wrong: cause, place of evidence, next command."""
    died = stage.verdict in DIED
    words = {stage.name, "console"} if died else {stage.name}
    paths = [path for name, path in run.evidence.items() if words & set(re.split(r"[\W_]+", f"{name} {path}"))]
    return {
        "stage": stage,
        "word": _word(stage.verdict),
        "evidence": list(dict.fromkeys([*([stage.kernel_log] if stage.kernel_log else []), *paths])),
        "command": f"vexlab logs {logs.of_stage(run, stage)} --run {run.run}",
        "causes": causes([check for check in stage.checks if check.verdict not in _QUIET]),
        "trace": traces.get(stage.name, ""),
        "whole_trace": f"are shown by: vexlab logs trace --run {run.run}",
    }
