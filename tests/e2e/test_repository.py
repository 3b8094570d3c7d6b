"""A filesystem's own repository: what its workflow does, step by step in a shell, with vexlab installed and a guest.

Left out is the step that gives an ordinary user KVM and namespaces: it would change this machine's settings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.e2e.harness import RUN_DEADLINE, Vexlab
from tests.unit.test_ci_files import ACTION, EXAMPLE, steps_of_action

pytestmark = pytest.mark.thorough
CHANGES_THE_MACHINE = "Let this machine run guests"


@pytest.fixture(scope="module")
def runner() -> Iterator[Path]:
    """What a runner has: a directory for temporary files, and a checkout of the example."""
    home = Path(tempfile.mkdtemp(prefix="vexlab-ci-"))
    (home / "temp").mkdir()
    shutil.copytree(EXAMPLE, home / "checkout")
    yield home
    shutil.rmtree(home)


def run_all(runner: Path, vexlab: Vexlab) -> tuple[dict[str, int], dict[str, str]]:
    """Run the steps until one fails, and those that are always run; exit codes by name, and the last step's outputs."""
    temp, output = runner / "temp", runner / "temp" / "output"
    codes: dict[str, int] = {}
    given = {
        "RUNNER_TEMP": str(temp), "GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(output),
        "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(runner / "checkout"), "TARGET": "vexlab.yml",
        "OPTIONS": "--quick", "GITHUB_STEP_SUMMARY": str(temp / "summary.md"),
    }  # fmt: skip
    for name, step in steps_of_action().items():
        if name == CHANGES_THE_MACHINE or (any(codes.values()) and "always()" not in step.get("if", "")):
            continue
        output.write_text("")
        own = {"XDG_STATE_HOME": str(temp / "vexlab-state")} if "XDG_STATE_HOME" in step.get("env", {}) else {}
        done = subprocess.run(
            ["sh", "-e", "-c", step["run"]], cwd=runner / "checkout", env=vexlab.environment | given | own, text=True,
            check=False, timeout=RUN_DEADLINE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        codes[name] = done.returncode
    return codes, dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_good_filesystem_is_green(runner: Path, vexlab: Vexlab) -> None:
    codes, outputs = run_all(runner, vexlab)
    assert set(codes.values()) == {0}, codes
    cases = [case for suite in JUnitXml.fromfile(outputs["junit"]) for case in suite]
    assert len(cases) > 100
    assert not [case for case in cases if not (case.is_passed or case.is_skipped)]


def test_broken_filesystem_is_red_at_its_line(runner: Path, vexlab: Vexlab) -> None:
    """A pull request that doesn't compile: the job fails, and what tells why is kept all the same."""
    source = runner / "checkout" / "tinyfs.c"
    text = source.read_text()
    source.write_text(text.replace("sb->s_time_gran = 1;", "sb->s_time_gran = one;"))
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "s_time_gran" in each)
    codes, outputs = run_all(runner, vexlab)
    source.write_text(text)
    assert codes["Test the filesystem"] == 1
    assert codes["Collect report, JUnit and evidence"] == 0
    report = (Path(outputs["run"]) / "report.md").read_text()
    assert re.search(rf"tinyfs\.c:{line}", report), report


def test_checkout_is_as_it_was(runner: Path) -> None:
    """The repository's own files are read and never written."""
    names = subprocess.run(["diff", "-r", EXAMPLE, runner / "checkout"], capture_output=True, text=True, check=False)
    assert names.stdout == ""
