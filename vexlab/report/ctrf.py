"""Renders a run in the Common Test Report Format (ctrf.io), which bots of pull requests read."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from vexlab import __version__
from vexlab.report import cases
from vexlab.report.cases import Case, Outcome
from vexlab.report.text import _clean
from vexlab.results.model import Run

SPEC = "0.0.0"
"""Version of the specification; tests/unit/schemas has its schema."""

_STATUS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.BROKEN: "failed",
    Outcome.SKIPPED: "skipped",
    Outcome.NOT_RUN: "pending",
}


def render(run: Run, attachments: dict[Path, str], directory: Path) -> str:
    """Return a run as a CTRF document.

    `attachments`: the files of the run's directory that a reader can get at, each with its path or URL.
    """
    suites = cases.of_run(run)
    tests = [_test(run, name, case, attachments, directory) for name, found in suites for case in found]
    start = cases.milliseconds(run.started) or 0
    stop = cases.milliseconds(run.finished) or start + int(sum(stage.seconds for stage in run.stages) * 1000)
    counts = {status: sum(test["status"] == status for test in tests) for status in (*_STATUS.values(), "other")}
    summary = {"tests": len(tests), **counts, "suites": len(suites), "start": start, "stop": stop}
    document = {
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"vexlab {run.run} {run.started}")),
        "runId": _clean(run.run),
        "generatedBy": f"vexlab {__version__}",
        "results": {
            "tool": {"name": "vexlab", "version": _clean(run.suite_version)},
            "summary": summary,
            "tests": tests,
            "environment": _environment(run),
            "extra": {"verdict": str(run.verdict), "finished": run.finished is not None},
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _environment(run: Run) -> dict[str, Any]:
    module = run.module
    extra = {"machine": str(run.machine), "stages": list(run.selected)}
    if module is not None:
        extra |= {"module": module.name, "module_sha256": module.sha256, "variant": module.variant}
    if run.guest is not None:
        extra |= {"accelerator": run.guest.accelerator, "qemu": run.guest.qemu}
    return {"appName": _clean(run.target), "osPlatform": "linux", "osRelease": _clean(run.kernel), "extra": extra}


def _test(run: Run, suite: str, case: Case, attachments: dict[Path, str], directory: Path) -> dict[str, Any]:
    """Return one test. `rawStatus` is the verdict, of which CTRF knows fewer."""
    module, name = case.parts
    test: dict[str, Any] = {
        "testId": _clean(f"{run.target}/{suite}/{case.check.name}"),
        "name": name or suite,
        "status": _STATUS[case.outcome],
        "duration": int(case.check.seconds * 1000),
        "suite": [_clean(run.target), _clean(suite), *([module] if module else [])],
        "rawStatus": str(case.check.verdict),
    }
    if case.outcome is not Outcome.PASSED:
        test |= {"message": case.title, "trace": case.text}
    if case.place:
        test |= {"filePath": case.place[0], "line": case.place[1]}
    if case.check.advice:
        test["extra"] = {"advice": _clean(case.check.advice)}
    found = {title: attachments[path] for title, path in case.evidence(directory).items() if path in attachments}
    if found:
        named = [{"name": title, "contentType": "text/plain", "path": path} for title, path in found.items()]
        test["attachments"] = named
    return test
