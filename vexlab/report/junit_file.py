"""Renders a run as JUnit: a suite per stage that was asked for, a case per check, as CI services show them well."""

from __future__ import annotations

import io
from pathlib import Path

from junitparser import Attr, Error, Failure, IntAttr, JUnitXml, Skipped, TestCase, TestSuite

from vexlab.config import atomic_file
from vexlab.report import facts
from vexlab.report.text import _QUIET, _clean, place_of
from vexlab.results.model import DIED, Check, Run, Stage, Verdict, asked_for

_KERNEL_LINES = 200
"""Lines of the kernel's messages in a stage, the last ones, that a red case has; kernel.log has them all."""


class _Case(TestCase):
    """A case with its place in the source, which services link to."""

    file = Attr()
    line = IntAttr()


def write_junit(run: Run, path: Path, directory: Path) -> None:
    """Write a JUnit file; `directory` is that of the run, which has the traces and the kernel's messages.

    No case is made up while checks tell what went wrong. A stage that went wrong without that gets one for its role or
    for itself, and a run that is not passed without any of its stages being to blame one for the run: red must never
    look green.
    """
    document = JUnitXml(f"vexlab {_clean(run.target)}")
    for stage in asked_for(run):
        cases = [_case(run, stage, check, directory) for check in stage.checks] + _own(run, stage, directory)
        document.add_testsuite(_suite(run, stage.name, cases))
    if run.verdict is not Verdict.PASSED and not any(stage.verdict not in _QUIET for stage in run.stages):
        blame = Check("verdict", run.verdict, 0.0, facts.summary(run))
        document.add_testsuite(_suite(run, "run", [_case(run, Stage("run"), blame, directory, red=True)]))
    document.update_statistics()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    atomic_file.replace_file(path, buffer.getvalue().decode())


def _suite(run: Run, name: str, cases: list[TestCase]) -> TestSuite:
    suite = TestSuite(_clean(name))
    suite.timestamp = run.started
    suite.add_property("run", _clean(run.run))
    if run.module is not None:
        suite.add_property("module_sha256", run.module.sha256)
    if run.guest is not None:
        suite.add_property("kernel", run.guest.kernel)
    reason = next((stage.reason for stage in run.stages if stage.name == name), "")
    if reason:
        suite.add_property("reason", _clean(reason))
    suite.add_testcases(cases)
    return suite


def _own(run: Run, stage: Stage, directory: Path) -> list[TestCase]:
    """Return the case of what is no check and went wrong, when none of the checks tells the stage's verdict."""
    tells = {Verdict.FAILED: {Verdict.FAILED}}.get(stage.verdict, {stage.verdict})
    if stage.verdict in _QUIET or tells & {check.verdict for check in stage.checks}:
        return []
    name = f"stage.{'role' if stage.achieved is False else 'whole'}"
    return [_case(run, stage, Check(name, stage.verdict, 0.0, stage.reason), directory, details=stage.details)]


def _case(run: Run, stage: Stage, check: Check, directory: Path, *, red: bool = False, details: str = "") -> TestCase:
    """Return a check as a case: failure for what failed, error for what died, skipped for what did not run."""
    module, _, name = _clean(check.name).partition(".")
    case = _Case(name or module, _clean(f"{run.target}.{stage.name}{f'.{module}' if name else ''}"), check.seconds)
    if place := place_of(check.place, check.message):
        case.file, case.line = _clean(place[0]), place[1]
    message = _clean(check.message)
    title = next((line.strip() for line in message.splitlines() if line.strip()), str(check.verdict))
    if check.verdict is Verdict.FAILED:
        result: Failure | Error | Skipped = Failure(title, check.verdict)
    elif check.verdict in DIED or red:
        result = Error(title, check.verdict)
    elif check.verdict in (Verdict.SKIPPED, Verdict.XFAILED, Verdict.NOT_RUN):
        result = Skipped(title, check.verdict)
    else:
        if check.advice:
            case.system_out = _clean(f"advice: {check.advice}")
        return case
    result.text = _clean(details) or (f"{_clean(check.promise)}\n{message}" if check.promise else message)
    case.result = [result]
    if not isinstance(result, Skipped) and (told := _told(stage, check, directory)):
        case.system_out = _clean(told)
    return case


def _told(stage: Stage, check: Check, directory: Path) -> str:
    """Return what the kernel said in the stage of a red case: the trace of a death, and the last of its messages."""
    parts = []
    log = directory / stage.kernel_log if stage.kernel_log else directory / "stages" / stage.name / "kernel.log"
    trace = log.with_name("trace.txt")
    if check.verdict in DIED and trace.is_file():
        parts += ["trace:", trace.read_text(encoding="utf-8", errors="replace").rstrip(), ""]
    if log.is_file():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        cut = f", the last {_KERNEL_LINES} of {len(lines)} lines" if len(lines) > _KERNEL_LINES else ""
        parts += [f"kernel messages of stage {stage.name}{cut}:", *lines[-_KERNEL_LINES:]]
    return "\n".join(parts)
