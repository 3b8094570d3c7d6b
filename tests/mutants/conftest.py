"""The fixtures of the end-to-end tests, and the table at the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import vexlab
from tests.mutants import catalogue

__all__ = ["vexlab"]

OUTCOMES = ("caught", "caught elsewhere", "caught anyway", "survived", "not judged")
COLUMNS = "{:<36} {:<16} {:>5}  {}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what became of each mutant, what should have, and the seconds that it took, whichever process ran it."""
    told: dict[str, tuple[dict[str, Any], float]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and (known := dict(report.user_properties)).get("mutant"):
                seconds = told.get(str(known["mutant"]), ({}, 0.0))[1]
                told[str(known["mutant"])] = known, seconds + (report.duration if report.when == "call" else 0.0)
    if not told:
        return
    terminalreporter.section("mutants")
    terminalreporter.write_line(COLUMNS.format("mutant", "what became of it", "s", "what must catch it"))
    for mutant in catalogue.load():
        if mutant.name in told:
            known, seconds = told[mutant.name]
            expected = f"{mutant.stage} {mutant.verdict} {mutant.check}"
            detail = f" ({known['detail']})" if known["detail"] else ""
            words = (mutant.name, known["outcome"], round(seconds), f"{expected}{detail}")
            terminalreporter.write_line(COLUMNS.format(*words))
    outcomes = [known["outcome"] for known, _ in told.values()]
    terminalreporter.write_line(", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES))
