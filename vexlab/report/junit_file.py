"""Renders a run as JUnit: a suite per stage that was asked for, a case per check, as CI services show them well."""

from __future__ import annotations

import io
from pathlib import Path

from junitparser import Attr, Error, Failure, IntAttr, JUnitXml, Skipped, TestCase, TestSuite

from vexlab.config import atomic_file
from vexlab.report import cases
from vexlab.report.cases import Case, Outcome
from vexlab.report.text import _clean
from vexlab.results import model
from vexlab.results.causes import causes
from vexlab.results.model import DIED, Run

_KERNEL_LINES = 200
"""Lines of the kernel's messages in a stage, the last ones, that a red case has; kernel.log has them all."""

_RESULTS = {
    Outcome.FAILED: Failure,
    Outcome.BROKEN: Error,
    Outcome.SKIPPED: Skipped,
    Outcome.NOT_RUN: Skipped,
}


class _Case(TestCase):
    """A case with its place in the source, which services link to."""

    file = Attr()
    line = IntAttr()


def write_junit(run: Run, path: Path, directory: Path) -> None:
    """Write a JUnit file; `directory` is that of the run, which has the traces and the kernel's messages."""
    atomic_file.replace_file(path, render(run, directory))


def render(run: Run, directory: Path) -> str:
    """Return a run as a JUnit document; `directory` is that of the run."""
    document = JUnitXml(f"vexlab {_clean(run.target)}")
    for name, found in cases.of_run(run):
        document.add_testsuite(_suite(run, name, _cases(run, found, directory)))
    document.update_statistics()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue().decode()


def _suite(run: Run, name: str, found: list[TestCase]) -> TestSuite:
    suite = TestSuite(_clean(name))
    suite.timestamp = run.started
    suite.add_property("run", _clean(run.run))
    if run.module is not None:
        suite.add_property("module_sha256", run.module.sha256)
    if run.guest is not None:
        suite.add_property("kernel", _clean(model.kernel_in_words(run)))
    reason = next((stage.reason for stage in run.stages if stage.name == name), "")
    if reason:
        suite.add_property("reason", _clean(reason))
    suite.add_testcases(found)
    return suite


def _cases(run: Run, found: list[Case], directory: Path) -> list[TestCase]:
    """Return the cases of a stage, the most telling first, which alone has the kernel's messages: they are the stage's.

    With dozens of red cases, a viewer would show the same messages dozens of times.
    """
    told = ""
    made = []
    for case in _most_telling_first(found):
        made.append(_case(run, case, directory, told))
        if not told and case.outcome in cases.RED:
            told = case.check.name
    return made


def _most_telling_first(found: list[Case]) -> list[Case]:
    """The red cases as reports order their causes, and then the others as they were run."""
    red = causes(case.check for case in found if case.outcome in cases.RED)
    order = [check for cause in red for check in (cause.lead, *cause.others)]
    ranks = {id(check): rank for rank, check in enumerate(order)}
    return sorted(found, key=lambda case: ranks.get(id(case.check), len(ranks)))


def _case(run: Run, case: Case, directory: Path, told: str) -> TestCase:
    """Return a check as a case: failure for what failed, error for what died, skipped for what did not run.

    `told` names the case that has what the kernel said in the stage.
    """
    module, name = case.parts
    place = f"{run.target}.{case.stage.name}{f'.{module}' if module else ''}"
    made = _Case(name, _clean(place), case.check.seconds)
    if case.place:
        made.file, made.line = case.place
    if case.outcome is Outcome.PASSED:
        if case.check.advice:
            made.system_out = _clean(f"advice: {case.check.advice}")
        return made
    result = _RESULTS[case.outcome](case.title, case.check.verdict)
    result.text = case.text
    made.result = [result]
    if case.outcome in cases.RED and (said := _said(case, directory, told)):
        made.system_out = _clean(said)
    return made


def _said(case: Case, directory: Path, told: str) -> str:
    """Return what the kernel said in the stage of a red case: the trace of a death, and the last of its messages."""
    parts = []
    log, trace = case.kernel_log(directory), case.trace(directory)
    if case.check.verdict in DIED and trace is not None:
        parts += ["trace:", trace.read_text(encoding="utf-8", errors="replace").rstrip(), ""]
    if log is not None and told:
        parts.append(f"kernel messages of stage {case.stage.name}: see {told}, the first case of this stage")
    elif log is not None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        cut = f", the last {_KERNEL_LINES} of {len(lines)} lines" if len(lines) > _KERNEL_LINES else ""
        parts += [f"kernel messages of stage {case.stage.name}{cut}:", *lines[-_KERNEL_LINES:]]
    return "\n".join(parts)
