"""Renders a run as JUnit, with a suite per stage and a case per check."""

from __future__ import annotations

import io
from pathlib import Path

import junitparser

from vexlab.config import atomic_file
from vexlab.report.markdown import _summary
from vexlab.report.text import _QUIET, _clean
from vexlab.results.model import DIED, Check, Run, Stage, Verdict


def write_junit(run: Run, path: Path) -> None:
    """Write a JUnit file with a suite per stage and a case per check.

    A stage that went wrong without a failed check gets a case of its own, a stage that did not run a skipped one, and a
    run that is not passed without any of its stages being to blame a suite of its own: red must never look green.
    """
    document = junitparser.JUnitXml(f"vexlab {run.target}")
    for stage in run.stages:
        cases = [_case(run, stage.name, check) for check in stage.checks] + _own(run, stage)
        document.add_testsuite(_suite(run, stage.name, cases))
    if run.verdict is not Verdict.PASSED and not any(stage.verdict not in _QUIET for stage in run.stages):
        blame = Check("verdict", run.verdict, 0.0, _summary(run))
        document.add_testsuite(_suite(run, "run", [_case(run, "run", blame, red=True)]))
    document.update_statistics()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer)
    atomic_file.replace_file(path, buffer.getvalue().decode())


def _suite(run: Run, name: str, cases: list[junitparser.TestCase]) -> junitparser.TestSuite:
    suite = junitparser.TestSuite(_clean(name))
    suite.timestamp = run.started
    suite.add_property("run", _clean(run.run))
    if run.module is not None:
        suite.add_property("module_sha256", run.module.sha256)
    if run.guest is not None:
        suite.add_property("kernel", run.guest.kernel)
    suite.add_testcases(cases)
    return suite


def _own(run: Run, stage: Stage) -> list[junitparser.TestCase]:
    """Return the case that stands for the stage itself, when none of its checks tells its verdict."""
    verdicts = {check.verdict for check in stage.checks}
    if stage.verdict is Verdict.PASSED or (stage.verdict is Verdict.SKIPPED and verdicts):
        return []
    if stage.verdict is Verdict.FAILED and verdicts - set(_QUIET):
        return []
    return [_case(run, stage.name, Check(stage.verdict, stage.verdict, 0.0, stage.reason))]


def _case(run: Run, stage: str, check: Check, *, red: bool = False) -> junitparser.TestCase:
    """Return a check as a case: failure for what failed, error for what died, skipped for what did not run."""
    case = junitparser.TestCase(_clean(check.name), _clean(f"{run.target}.{stage}"), check.seconds)
    message = _clean(check.message)
    title = next((line.strip() for line in message.splitlines() if line.strip()), str(check.verdict))
    if check.verdict is Verdict.FAILED:
        result: junitparser.junitparser.FinalResult = junitparser.Failure(title, check.verdict)
    elif check.verdict in DIED or red:
        result = junitparser.Error(title, check.verdict)
    elif check.verdict in (Verdict.SKIPPED, Verdict.XFAILED, Verdict.NOT_RUN):
        result = junitparser.Skipped(title, check.verdict)
    else:
        if check.advice:
            case.system_out = _clean(f"advice: {check.advice}")
        return case
    result.text = message
    case.result = [result]
    return case
