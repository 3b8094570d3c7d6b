"""The facts of a run that its reports tell, whatever their form. Judges nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vexlab.config import target
from vexlab.gate import run_criteria
from vexlab.gate.decision import Decision, Refused
from vexlab.report.templating import word
from vexlab.report.text import _QUIET
from vexlab.results import logs, model
from vexlab.results.causes import causes
from vexlab.results.model import DIED, Check, Run, Stage, Verdict

_NAMES = 40
"""Names of checks that were not run that a report shows of a stage; results.json has them all."""


def of(
    run: Run, command_options: str = "", decision: Decision | Refused | None = None,
    traces: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return what a template tells of a run, by the names that it has there.

    `command_options` is put after suggested commands, such as ` --name LAB` for a lab that isn't the default one;
    `decision` is what the gate says of the run's module, `traces` the trace of each stage in which a kernel died.
    """
    checks = [(stage, check) for stage in run.stages for check in stage.checks]
    return {
        "run": run,
        "passed": run.verdict is Verdict.PASSED,
        "not_claimed": target.not_claimed(run.contract.claims) if run.contract else [],
        "kernel": model.kernel_in_words(run),
        "revision": model.source_in_words(run.source),
        "headline": word(run.verdict).upper() if run.finished else "IN PROGRESS",
        "date": run.started.partition("T")[0],
        "time": _time(run),
        "summary": summary(run),
        "stages": [
            {"stage": stage, "word": word(stage.verdict), **_counts(stage.checks)} for stage in model.asked_for(run)
        ],
        "completed": sum(stage.verdict is Verdict.PASSED for stage in run.stages if stage.name in run.selected),
        "totals": _counts([check for _, check in checks]),
        "categories": _categories(run),
        "failures": [_failure(run, stage, traces or {}) for stage in run.stages if stage.verdict not in _QUIET],
        "skips": [(stage.name, check) for stage, check in checks if check.verdict is Verdict.SKIPPED],
        "left_out": model.left_out(run),
        "known": [(stage.name, check) for stage, check in model.known_failures(run)],
        "advice": [(stage.name, check) for stage, check in model.advice(run)],
        "not_run": [row for stage in run.stages if (row := _not_run(run, stage))],
        "risk": run_criteria.risk(run),
        "steps": run_criteria.next_steps(run, command_options),
        "criteria": run_criteria.criteria(run),
        "protocol": run_criteria.PROTOCOL,
        "decision": decision if isinstance(decision, Decision) else None,
        "refused": decision.why if isinstance(decision, Refused) else "",
        "gate_command": f"vexlab gate{command_options}",
    }


def _time(run: Run) -> str:
    """Say when the run began, and how long it took, as far as its time stamps can be read."""
    try:
        started = datetime.fromisoformat(run.started)
        seconds = (datetime.fromisoformat(run.finished) - started).total_seconds() if run.finished else None
    except (ValueError, TypeError):
        return run.started
    took = "" if seconds is None else f", took {int(seconds // 60)} min {seconds % 60:.0f} s"
    return started.timetz().isoformat(timespec="seconds") + took


def summary(run: Run) -> str:
    """Say in a sentence what came of a run."""
    if not run.finished:
        return "VM tests are running; what is said here is not final"
    if run.verdict is Verdict.PASSED:
        return "every selected stage passed in the VM"
    wrong = next((stage for stage in run.stages if stage.verdict not in _QUIET), None)
    if wrong is not None:
        return f"stage {wrong.name} {word(wrong.verdict)}: {wrong.reason}"
    cut_off = [stage for stage in run.stages if stage.verdict is Verdict.NOT_RUN and stage.checks and stage.reason]
    began = f"stage {cut_off[0].name} did not end: {cut_off[0].reason}" if cut_off else "no stage went wrong"
    return f"{began}; not every selected stage passed: {', '.join(_not_passed(run))}"


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
        state, counts = word(stage.verdict), _counts(stage.checks)
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
        "word": word(stage.verdict),
        "evidence": list(dict.fromkeys([*([stage.kernel_log] if stage.kernel_log else []), *paths])),
        "command": f"vexlab logs {logs.of_stage(run, stage)} --run {run.run}",
        "causes": causes([check for check in stage.checks if check.verdict not in _QUIET]),
        "trace": traces.get(stage.name, ""),
        "whole_trace": f"are shown by: vexlab logs trace --run {run.run}",
    }
