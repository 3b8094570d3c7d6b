"""Stops at a check that a person debugs, so that they find the guest as the check has it.

`hold.json` in the stage's directory asks for it: `at` names the points to stop at, and `is_patient` takes away the
deadlines that this machine keeps, since somebody may have the guest stand still. At a point, `held.json` says which it
is, of which check, with the check's words and the directory of the guest that it works in. The check goes on when that
file is gone. vexlab/results/stage_record.py is the other end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from vexlab.config.check_names import short_name
from vexlab.guest.testing.guest import guest_of
from vexlab.guest.testing.recorder import message_of, recorder_of
from vexlab.guest.testing.scratch import Scratch

PLUGIN = "vexlab-hold"
LOOK_SECONDS = 0.1
DAY = 86400.0  # seconds; longer than anybody looks at a guest
BEGIN, BEFORE, FAILED, PASSED = "begin", "before", "failed", "passed"  # the points
LEAVE = "leave"  # the end of the session, at the first check that failed, with all in the guest as that has it


class Hold:
    """Stops at the points that are asked for in the directory of a stage; nowhere, where nobody asks."""

    def __init__(self, directory: Path) -> None:
        """Read what is asked for."""
        path = directory / "hold.json"
        order: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self._points = frozenset(order.get("at", ()))
        self._left = self._points
        self._is_patient = bool(order.get("is_patient"))
        self._held = directory / "held.json"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Have the guest's silence mean nothing."""
        if self._is_patient:
            guest_of(session.config).grace = DAY

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Stop before anything is made for the first check."""
        if BEGIN in self._left:
            self._left -= {BEGIN}
            self._stop(BEGIN, item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Stop when all is there that a check needs, before it does anything."""
        if BEFORE in self._points:
            self._stop(BEFORE, item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Stop at a check that has failed, expected or not, or passed, before what it made is taken down."""
        report = yield
        went_wrong = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
        if went_wrong and FAILED in self._points:
            self._stop(FAILED, item, message_of(report))
        elif report.passed and report.when == "call" and PASSED in self._points:
            self._stop(PASSED, item)
        elif report.failed and LEAVE in self._points:
            _leave(item, report)
        return report

    def pytest_timeout_set_timer(self) -> bool | None:
        """Have no check ended by the clock of this machine while a person looks at the guest."""
        return True if self._points - {LEAVE} else None

    def _stop(self, when: str, item: pytest.Item, message: str = "") -> None:
        told = {"when": when, "check": short_name(item.nodeid), "message": message, "directory": directory_of(item)}
        temporary = self._held.with_suffix(".new")
        temporary.write_text(json.dumps(told) + "\n")
        temporary.replace(self._held)
        while self._held.exists():
            time.sleep(LOOK_SECONDS)


def _leave(item: pytest.Item, report: pytest.TestReport) -> None:
    """Write down what a check came to, and end this process, so that nothing of the check is taken down.

    Nothing is written down where the guest was lost: whoever watches it knows more.
    """
    recorder = recorder_of(item.config)
    if not recorder.over:
        recorder.pytest_runtest_logreport(report)
        recorder.pytest_runtest_logfinish(item.nodeid)
        sys.stdout.flush()
        os._exit(pytest.ExitCode.TESTS_FAILED)


def directory_of(item: pytest.Item) -> str:
    """The directory of the guest that a check works in; empty when it has none of its own."""
    made = getattr(item, "funcargs", {}).values()
    return next((each.point for each in made if isinstance(each, Scratch)), "")
