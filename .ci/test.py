"""Run linters and tests, all of them even when one fails, and close with one line of counts.

Usage: python .ci/test.py PART..., with PART one of lint, unit, guests, all-guests, e2e, mutants, faults. `guests` is
what starts guests and isn't marked `thorough` (pyproject.toml). A linter or a test counts as one check.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from junitparser import JUnitXml

WORKFLOWS = sorted(
    str(path) for root in (Path(), *Path("examples").iterdir()) for path in root.glob(".github/workflows/*.yml")
)
ISSUE_FORMS = sorted(str(path) for path in Path(".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
ACTIONS = sorted(str(path) for path in Path(".github/actions").glob("*/action.yml"))
LINTERS = (
    ("ansible-lint", "--offline"),  # takes longer than the others together, so it begins
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("yamllint", "--strict", "."),
    ("python", ".ci/sanity.py"),
    (
        "check-jsonschema",
        "--builtin-schema=vendor.github-workflows",
        *WORKFLOWS,
    ),
    ("check-jsonschema", "--builtin-schema=vendor.github-actions", *ACTIONS),
    ("check-jsonschema", "--builtin-schema=vendor.github-issue-forms", *ISSUE_FORMS),
    # Permissions, pins, what a pull request could inject.
    ("zizmor", "--offline", "--no-progress", "--config=.github/zizmor.yml", *WORKFLOWS, *ACTIONS),
)
# A guest is busy with one thing most of the time, so two of them are done sooner at once than one after the other.
# Which tests stay together, and the order in which they begin, is told by tests/conftest.py.
CPUS = os.cpu_count() or 1
GROUPED = ("-n", str(min(4, CPUS)), "--dist", "loadscope", "--no-loadscope-reorder")
GUESTS = ("tests/e2e", "tests/mutants", "tests/faults", *GROUPED)
TESTS = {
    "unit": ("tests/unit", "-n", str(min(8, 2 * CPUS))),  # many of them wait for something
    "guests": (*GUESTS, "-m", "not thorough"),
    "all-guests": (*GUESTS, "--seen=tests/faults/seen.jsonl"),
    "e2e": ("tests/e2e", *GROUPED),
    "mutants": ("tests/mutants", *GROUPED),
    "faults": ("tests/faults", *GROUPED, "--seen=tests/faults/seen.jsonl"),
}


def run(*command: str) -> bool:
    """Run a command that prints for itself; whether it succeeded."""
    print("==", *command, flush=True)
    succeeded = subprocess.run(command, check=False).returncode == 0
    if not succeeded:
        print("!! failed:", *command, flush=True)
    return succeeded


def run_beside(command: tuple[str, ...]) -> bool:
    """The same for one of several at once: what it says is printed when it has ended."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    failed = f"!! failed: {' '.join(command)}\n" if done.returncode else ""
    print(f"== {' '.join(command)}\n{done.stdout}{failed}", end="", flush=True)
    return not failed


def lint() -> tuple[int, int, int]:
    """Run every linter, the slowest beside the others: how many passed, failed, were skipped."""
    listed = subprocess.run(["git", "grep", "-lE", "^#!/bin/(sh|bash)"], capture_output=True, text=True, check=True)
    scripts = [name for name in listed.stdout.splitlines() if Path(name).read_text("utf-8").startswith("#!")]
    commands = (*LINTERS, ("shellcheck", *scripts))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(run_beside, commands))
    return sum(done), len(done) - sum(done), 0


def test(part: str) -> tuple[int, int, int]:
    """Run a part of the tests: how many passed, failed, were skipped."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        succeeded = run(sys.executable, "-m", "pytest", "--durations=5", f"--junit-xml={report}", *TESTS[part])
        suites = list(JUnitXml.fromfile(str(report))) if report.is_file() else []
    tests, skipped = sum(suite.tests for suite in suites), sum(suite.skipped for suite in suites)
    failed = sum(suite.failures + suite.errors for suite in suites)
    if (not succeeded and not failed) or tests == skipped:
        failed += 1  # pytest itself failed, or nothing ran: neither has passed
    return max(0, tests - failed - skipped), failed, skipped


def main() -> int:
    """Run the parts that were named; 0 when nothing failed."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    counts = [lint() if part == "lint" else test(part) for part in sys.argv[1:]]
    if {"faults", "all-guests"} & set(sys.argv):
        subprocess.run([sys.executable, "-m", "tests.faults.document"], check=True)
    passed, failed, skipped = (sum(column) for column in zip(*counts, strict=True))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
