"""Run molecule scenarios, each with state of its own, and sum up what they found.

Usage: python .ci/molecule.py SCENARIO...

What a run leaves is in .molecule/<scenario>/: the evidence of each stage, the guest's console, `junit.xml` with every
check, `report.md`. The exit code is 0 when each scenario passed and had checks that ran.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from junitparser import JUnitXml

from vexlab.config import stage_list
from vexlab.report import github
from vexlab.report.text import cell, place_of
from vexlab.results.model import DIED, Check, Verdict
from vexlab.results.stage_record import StageRecord

ROOT = Path(__file__).resolve().parents[1]
WRONG = (Verdict.FAILED, *DIED)


def run(scenario: str) -> bool:
    """Run one scenario from create to destroy; whether it passed."""
    results = ROOT / ".molecule" / scenario
    shutil.rmtree(results, ignore_errors=True)
    # molecule's own choice is named after the last part of the project's path, so that two checkouts would share it.
    with tempfile.TemporaryDirectory(prefix=f"vexlab-molecule-{scenario}-", dir="/var/tmp") as state:
        environment = os.environ | {
            "MOLECULE_EPHEMERAL_DIRECTORY": state,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["molecule", "test", "--no-command-borders", "--scenario-name", scenario]
        print("==", *command, flush=True)
        succeeded = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
    executed = summarise(scenario, results, succeeded=succeeded)
    if succeeded and not executed:
        print(f"!! molecule passed scenario {scenario}, and no check ran", flush=True)
    return succeeded and executed > 0


def in_order(junit: Path) -> tuple[Path, int]:
    """A key to sort JUnit files of stages by: those of one directory in the order in which stages run."""
    return junit.parents[1], stage_list.position(junit.parent.name)


def summarise(scenario: str, results: Path, *, succeeded: bool) -> int:
    """Write junit.xml and report.md of a scenario; how many checks really ran."""
    results.mkdir(parents=True, exist_ok=True)
    (results / "junit.xml").unlink(missing_ok=True)
    every, executed = JUnitXml(), 0
    rows = ["| where | checks | passed | failed | skipped |", "|---|---|---|---|---|"]
    failed: list[str] = []
    for path in sorted(results.rglob("junit.xml"), key=in_order):
        where = str(path.parent.relative_to(results))
        for suite in JUnitXml.fromfile(str(path)):
            suite.name = f"{scenario}: {where}"
            every.add_testsuite(suite)
            wrong = suite.failures + suite.errors
            passed = suite.tests - wrong - suite.skipped
            executed += passed + wrong
            rows.append(f"| {where} | {suite.tests} | {passed} | {wrong} | {suite.skipped} |")
        stage = StageRecord(path.parents[2], path.parent.name)
        for check in stage.finished_checks():
            if check.verdict in WRONG:
                failed.append(f"- {where}: {check.name} {check.verdict}: {cell(first_line(check.message))}")
                title = f"{scenario}: {path.parent.name}/{check.name} {check.verdict}"
                annotate(title, check)
    every.write(str(results / "junit.xml"), pretty=True)
    verdict = "passed" if succeeded and executed else "failed"
    text = [f"# Scenario {scenario}: {verdict}", "", *rows, "", *failed]
    (results / "report.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return executed


def annotate(title: str, check: Check) -> None:
    """Have GitHub Actions show a check that went wrong at its place; elsewhere nothing is printed."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(github.error(title, check.message, place_of(check.place, ""), str(ROOT)), flush=True)


def first_line(text: str) -> str:
    """The first line of a text that says anything."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def main() -> int:
    """Run the scenarios that were named, all of them even when one fails."""
    verdicts = {scenario: run(scenario) for scenario in sys.argv[1:]}
    for scenario, passed in verdicts.items():
        print(f"scenario {scenario}: {'passed' if passed else 'failed'}; see .molecule/{scenario}/report.md")
    return 0 if verdicts and all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
