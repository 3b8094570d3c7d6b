"""The fixtures of the end-to-end tests, and the table at the end."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import vexlab
from tests.mutants.catalogue import Judgement, Mutant

__all__ = ["vexlab"]

TABLE = pytest.StashKey[list[tuple[Mutant, Judgement, float]]]()
COLUMNS = "{:<36} {:<16} {:>5}  {}"


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty table."""
    config.stash[TABLE] = []


@pytest.fixture
def table(pytestconfig: pytest.Config) -> list[tuple[Mutant, Judgement, float]]:
    """What became of each mutant so far."""
    return pytestconfig.stash[TABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what became of each mutant, what should have, and the seconds that it took."""
    table = config.stash[TABLE]
    if not table:
        return
    terminalreporter.section("mutants")
    terminalreporter.write_line(COLUMNS.format("mutant", "what became of it", "s", "what must catch it"))
    for mutant, judgement, seconds in table:
        expected = f"{mutant.stage} {mutant.verdict} {mutant.check}"
        detail = f" ({judgement.detail})" if judgement.detail else ""
        terminalreporter.write_line(
            COLUMNS.format(mutant.name, judgement.outcome, round(seconds), f"{expected}{detail}")
        )
    outcomes = [judgement.outcome for _, judgement, _ in table]
    counts = [
        f"{outcomes.count(outcome)} {outcome}" for outcome in ("caught", "caught elsewhere", "survived", "not judged")
    ]
    terminalreporter.write_line(", ".join(counts))
