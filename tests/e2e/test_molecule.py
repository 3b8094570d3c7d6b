"""Two of the molecule scenarios, the way CI runs them all: `make molecule` takes as long again for the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.harness import ROOT, RUN_DEADLINE


@pytest.mark.parametrize("scenario", ["default", "refusal"])
def test_scenario(scenario: str) -> None:
    command = [sys.executable, ".ci/molecule.py", scenario]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_DEADLINE, check=False)
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-4000:]}"
    assert f"# Scenario {scenario}: passed" in (ROOT / ".molecule" / scenario / "report.md").read_text()
