"""Renders a run as results of Allure, with logs as attachments, through allure-python-commons."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import (
    Attachment,
    GlobalAttachment,
    Globals,
    Label,
    Parameter,
    Status,
    StatusDetails,
    TestResult,
)
from allure_commons.types import AttachmentType, LabelType

from vexlab.report import cases
from vexlab.report.cases import Case, Outcome
from vexlab.report.text import _clean
from vexlab.results import logs
from vexlab.results.model import Run, Verdict

_STATUS = {
    Outcome.PASSED: Status.PASSED,
    Outcome.FAILED: Status.FAILED,
    Outcome.BROKEN: Status.BROKEN,
    Outcome.SKIPPED: Status.SKIPPED,
    Outcome.NOT_RUN: Status.UNKNOWN,
}


class Writer:
    """Writes the results of one run into a directory, each log once, however many checks refer to it."""

    def __init__(self, run: Run, directory: Path, output: Path) -> None:
        """Make the output directory if it isn't there; `directory` is that of the run. Raises OSError."""
        self._run = run
        self._directory = directory
        self._output = output
        self._logger = AllureFileLogger(str(output))
        self._files: dict[Path, str] = {}

    def write(self) -> int:
        """Write a result per check, the logs and what it ran on; returns how many results there are."""
        begin, written = cases.milliseconds(self._run.started) or 0, 0
        seconds = {stage.name: stage.seconds for stage in self._run.stages}
        for suite, found in cases.of_run(self._run):
            start = begin
            for case in found:
                stop = start + int(case.check.seconds * 1000)
                self._logger.report_result(self._result(suite, case, start, stop))
                start, written = stop, written + 1
            begin = max(start, begin + int(seconds.get(suite, 0.0) * 1000))
        self._write_logs(begin)
        self._write_environment()
        return written

    def _result(self, suite: str, case: Case, start: int, stop: int) -> TestResult:
        module, name = case.parts
        run, test = self._run, _clean(f"{self._run.target}/{suite}/{case.check.name}")
        labels = [(LabelType.PARENT_SUITE, _clean(run.target)), (LabelType.SUITE, _clean(suite))]
        labels += [(LabelType.SUB_SUITE, module)] if module else []
        labels += [(LabelType.FRAMEWORK, "vexlab"), (LabelType.TAG, str(case.check.verdict))]
        return TestResult(
            uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"vexlab {run.run} {run.started} {test}")),
            name=name or suite,
            fullName=test,
            testCaseId=_id(test),
            # Two kernels or variants are two histories; of one, a later run replaces an earlier one.
            historyId=_id(test, *self._machine().values()),
            status=_STATUS[case.outcome],
            statusDetails=self._details(case),
            description=_clean(case.check.promise) or None,
            labels=[Label(name=label, value=value) for label, value in labels],
            parameters=[Parameter(name=key, value=value) for key, value in self._machine().items()],
            attachments=[
                Attachment(name=title, source=self._attach(path), type=AttachmentType.TEXT.mime_type)
                for title, path in case.evidence(self._directory).items()
            ],
            start=start,
            stop=stop,
        )

    def _details(self, case: Case) -> StatusDetails | None:
        if case.outcome is Outcome.PASSED:
            advice = _clean(case.check.advice)
            return StatusDetails(message=f"advice: {advice}") if advice else None
        known = case.check.verdict is Verdict.XFAILED or None
        return StatusDetails(message=case.title, trace=case.text, known=known)

    def _machine(self) -> dict[str, str]:
        module = self._run.module
        found = {"kernel": self._run.kernel, "variant": module.variant if module else ""}
        return {name: _clean(value) for name, value in found.items() if value}

    def _attach(self, path: Path) -> str:
        """Copy a log, unless it is there already; returns its name among the results."""
        if path not in self._files:
            self._files[path] = f"{uuid.uuid4()}-attachment.{AttachmentType.TEXT.extension}"
            self._logger.report_attached_file(str(path), self._files[path])
        return self._files[path]

    def _write_logs(self, timestamp: int) -> None:
        found = [log for kind in logs.OF_AN_EXECUTION for log in logs.find(self._directory, kind)]
        attached = [
            GlobalAttachment(
                name=", ".join(filter(None, (log.path.stem, log.title))),
                source=self._attach(log.path),
                type=AttachmentType.TEXT.mime_type,
                timestamp=timestamp,
            )
            for log in found
        ]
        if attached:
            self._logger.report_globals(Globals(attachments=attached))

    def _write_environment(self) -> None:
        run = self._run
        facts = {"run": run.run, "target": run.target, "verdict": str(run.verdict)} | self._machine()
        if run.module is not None:
            facts |= {"module": run.module.name, "module_sha256": run.module.sha256}
        if run.guest is not None:
            facts |= {"accelerator": run.guest.accelerator, "qemu": run.guest.qemu}
        lines = (f"{name}={' '.join(_clean(value).split())}\n" for name, value in facts.items())
        (self._output / "environment.properties").write_text("".join(lines), encoding="utf-8")


def _id(*parts: str) -> str:
    """One word for what these parts say together, the same in every run."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
