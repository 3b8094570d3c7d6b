"""The record of what the checks of a stage found, which survives a run that is cut short, and pytest's exit code."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import cast

import pytest

from vexlab.config.check_names import short_name
from vexlab.guest.testing import answers, known_failures
from vexlab.guest.testing.connection import UnusableError
from vexlab.guest.testing.guest import started_guest
from vexlab.guest.testing.target import target_of

PLUGIN = "vexlab-recorder"
MACHINE_EXIT = 74  # exit code when the record of the checks can't be written; vexlab/run/examination.py knows it
GUEST_LOST = 20  # exit code, beyond pytest's own: nothing can be judged in the guest; no other stage is to begin
GONE_SECONDS = 5.0  # within which a guest's death is noticed
REMOUNTED = re.compile(r"\bafter a remount\b(?! (?:read-only|with)\b)")  # of a mount that shows what another one left
UNEXPECTED = "[XPASS(strict)] "  # what pytest begins its words with when an expected failure did not come


class Recorder:
    """Writes one JSON object per finished check: name, verdict, seconds, message, advice, promise."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        """Start an empty record."""
        self.path = path
        self.config = config
        self.promises: dict[str, str] = {}  # the docstring of each check, by its name
        self.reports: dict[str, list[pytest.TestReport]] = {}
        self.failed = False
        self.out_of_date = known_failures.OutOfDate()
        self.executed = 0  # checks that really ran
        self.over = ""  # the check that found the guest unusable
        self.over_as = ("failed", "")  # the verdict that this gives it, and why
        self.keep(path, "", "w")

    def keep(self, path: Path, text: str, mode: str) -> None:
        """Write what has to be known afterwards; a disk that is full ends the session, and is no verdict."""
        try:
            with path.open(mode) as file:
                file.write(text)
        except OSError as problem:
            pytest.exit(f"{path} can't be written: {problem.strerror}", returncode=MACHINE_EXIT)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say which checks there will be, for whoever shows progress, or tells what was not run."""
        functions = {short_name(item.nodeid): getattr(item, "function", None) for item in session.items}
        self.promises = {name: " ".join((function.__doc__ or "").split()) for name, function in functions.items()}
        self.keep(self.path.with_name("planned"), "".join(f"{name}\n" for name in functions), "w")

    def pytest_runtest_setup(self) -> None:
        """Skip what comes after a guest became unusable; it isn't written down, since it did not run."""
        if self.over:
            pytest.skip(f"nothing can be judged in this guest since {self.over}")

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Count what really ran; note during which check the guest became unusable, and stay with it if it may be gone.

        Whoever watches the guest ends this process when it is dead, and names the check that is going on then. That a
        check is known to fail excuses no guest.
        """
        if call.when == "call" and not (call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception)):
            self.executed += 1
        problem = call.excinfo.value if call.excinfo else None
        if not self.over and isinstance(problem, UnusableError):
            self.over, self.over_as = item.nodeid, (problem.verdict, str(problem))
            if problem.verdict == "lost":
                time.sleep(GONE_SECONDS)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which check is going on, for whoever finds the guest dead."""
        if not self.over:
            self.keep(self.path.with_name("running"), f"{short_name(nodeid)}\n", "w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of a check's three phases."""
        self.reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write the check down: xfailed or failed if one phase was, skipped if one was skipped, else passed.

        What found the guest unusable has the verdict of that.
        """
        reports = self.reports.pop(nodeid, [])
        if self.over not in ("", nodeid):
            return
        expected = next((report for report in reports if report.skipped and hasattr(report, "wasxfail")), None)
        failed = next((report for report in reports if report.failed), None)
        skipped = next((report for report in reports if report.skipped), None)
        verdict, message = "passed", ""
        if self.over:
            verdict, message = self.over_as
        elif expected is not None:  # in whatever phase it came: a splat is noticed after a call that passed
            verdict, message = "xfailed", f"{expected.wasxfail}\n{message_of(expected)}"
        elif failed is not None:
            verdict, message = "failed", self.with_what_was_left_out(message_of(failed))
        elif skipped is not None:
            verdict, message = "skipped", reason_of(skipped)
        elif not any(report.when == "call" for report in reports):
            verdict, message = "failed", "the check did not run"
        advice = [str(text) for name, text in (reports[-1].user_properties if reports else ()) if name == "advice"]
        if (guest := started_guest(self.config)) is not None:
            advice += guest.new_notes()
        seconds = sum(report.duration for report in reports)
        told = "; ".join(advice)
        self.write(short_name(nodeid), verdict, message, seconds=seconds, advice=told, place=place_of(reports))
        self.path.with_name("running").unlink()

    def with_what_was_left_out(self, message: str) -> str:
        """The words of a failed check; those about a remount are about the same mount where nothing is to be kept."""
        if REMOUNTED.search(message) and "persistent" not in target_of(self.config).capabilities:
            return f"{message} (it was not remounted, since the target does not claim persistent)"
        return message

    def write(
        self, name: str, verdict: str, message: str, *, seconds: float = 0.0, advice: str = "", place: str = ""
    ) -> None:
        """Append a check to the record."""
        self.failed |= verdict not in ("passed", "skipped", "xfailed")
        self.out_of_date.ended(name, verdict)
        line = {
            "name": name, "verdict": verdict, "seconds": round(seconds, 3), "message": message, "advice": advice,
            "place": place, "promise": self.promises.get(name, ""),
        }  # fmt: skip
        self.keep(self.path, json.dumps(line) + "\n", "a")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Decide on the exit code: a stage in which no check ran has not passed, whatever pytest thinks of it.

        Nor does it know what was expected: it counts a check whose call passed, and whose expected failure came
        afterwards, as one that failed. Where checks are only listed, none has to run.
        """
        if session.config.option.collectonly:
            return
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            for name in self.out_of_date.names():
                said = f"vexlab_known_failures: {session.config.getoption('--stage')}/{name}: each of its checks passed"
                self.write("known_failures", "failed", f"{said}; take it off the list")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if self.failed else pytest.ExitCode.OK
            if self.over:
                session.exitstatus = GUEST_LOST
                return
        if self.executed == 0 and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def recorder_of(config: pytest.Config) -> Recorder:
    """The record of this session."""
    return cast(Recorder, config.pluginmanager.get_plugin(PLUGIN))


def place_of(reports: list[pytest.TestReport]) -> str:
    """File and line of a check, relative to the collection."""
    path, line, _ = reports[0].location if reports else ("", None, "")
    return f"tests/stages/{path}:{line + 1}" if line is not None else ""


def message_of(report: pytest.TestReport) -> str:
    """What an assertion said, without the source around it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else report.longrepr).strip()
    said = re.sub(r"^(?:AssertionError|Failed|(?:\w+\.)*connection\.\w+): ", "", said)
    if late := re.fullmatch(r"Timeout \(>([\d.]+)s\) from pytest-timeout\.", said):
        said = f"it did not end within {float(late[1]):.0f} s"
    if said.startswith(UNEXPECTED):
        said = f"it passed, and vexlab_known_failures says that it fails: {said.removeprefix(UNEXPECTED)}"
    if broken := re.match(r"((?:Type|Key|Index|Value|Name|Attribute|Lookup)Error): ", said):
        said = f"the check could not go on with what it saw ({said.removeprefix(broken[0])})"
    return answers.with_names(said)


def reason_of(report: pytest.TestReport) -> str:
    """Why a check was skipped."""
    parts = report.longrepr
    return str(parts[2] if isinstance(parts, tuple) else parts).removeprefix("Skipped: ")
