"""A check that a person debugs: where it waits, what it says of itself there, and that it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from vexlab.guest.testing import hold
from vexlab.results.stage_record import Held, StageRecord
from vexlab.run import debugging

STAGES = Path(__file__).parents[1] / "stages"
PATIENCE = 60  # seconds

# Stands in for the tests of a stage; conftest.py is the real one. What is made and taken down is written down.
CHECKS = """
from pathlib import Path

import pytest
from vexlab.guest.testing.scratch import Scratch

LOG = Path(__file__).with_name("log")

def note(word):
    with LOG.open("a") as log:
        log.write(word + " ")

@pytest.fixture
def guest():
    return None

@pytest.fixture(autouse=True)
def _no_new_splat():
    yield

@pytest.fixture
def place():
    note("made")
    scratch = Scratch.__new__(Scratch)
    scratch.point = "/var/lib/vexlab/scratch"
    yield scratch
    note("removed")

def test_good(place):
    note("called")

def test_bad(place):
    note("called")
    assert False, "the old name is back"

@pytest.mark.timeout(1)
def test_slow(place):
    note("called")
    assert False, "it was slow"

@pytest.mark.xfail(strict=True)
def test_known(place):
    assert False, "as ever"
"""


class Checks:
    """The stand-in's checks in a process of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = StageRecord(directory / "run", "mount")
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, name: str, *at: str) -> None:
        self.record.choose(only=[f"rename.{name}"], leave_out=())
        self.record.hold(*at, is_patient=False)
        (self.directory / "test_rename.py").write_text(CHECKS)
        host = {
            "ansible_connection": "local", "vexlab_target_name": "toy", "vexlab_capabilities": [],
            "vexlab_device": "", "vexlab_phase": 0, "vexlab_known_failures": [],
        }  # fmt: skip
        inventory = self.directory / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"here": host}}}))
        command = [
            sys.executable, "-m", "pytest", "-q", f"--config-file={STAGES}/pytest.ini", f"--confcutdir={STAGES}",
            "-p", "conftest", f"--rootdir={self.directory}", "--hosts=ansible://here",
            f"--ansible-inventory={inventory}", "--stage=mount", f"--run-directory={self.directory}/run",
            str(self.directory / "test_rename.py"),
        ]  # fmt: skip
        environment = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(STAGES)}
        self.process = subprocess.Popen(command, env=environment)

    def waits(self) -> Held:
        """Where the check waits, as soon as it does."""
        deadline = time.monotonic() + PATIENCE
        while (held := self.record.held()) is None:
            assert self.process is not None
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return held

    def goes_on(self) -> None:
        self.record.held_file.unlink()

    def ends(self) -> list[str]:
        """What was done, when it has ended without waiting any more."""
        assert self.process is not None
        self.process.wait(PATIENCE)
        return self.log.read_text().split()

    def verdicts(self) -> dict[str, str]:
        return {check.name: str(check.verdict) for check in self.record.finished_checks()}


@pytest.fixture
def checks(tmp_path: Path) -> Iterator[Checks]:
    found = Checks(tmp_path)
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.wait()


def test_points_are_the_same_on_both_ends() -> None:
    points = ("BEGIN", "BEFORE", "FAILED", "PASSED")
    assert [getattr(hold, name) for name in points] == [getattr(debugging, name) for name in points]


def test_it_waits_where_it_failed_before_anything_is_taken_down(checks: Checks) -> None:
    checks.start("bad", "failed")
    held = checks.waits()
    assert held == Held("failed", "rename.bad", "the old name is back", "/var/lib/vexlab/scratch")
    assert checks.log.read_text().split() == ["made", "called"]
    checks.goes_on()
    assert checks.ends() == ["made", "called", "removed"]
    assert checks.verdicts() == {"rename.bad": "failed"}


def test_it_waits_before_it_does_anything_when_all_is_made(checks: Checks) -> None:
    checks.start("good", "before")
    held = checks.waits()
    assert (held.when, held.directory) == ("before", "/var/lib/vexlab/scratch")
    assert checks.log.read_text().split() == ["made"]


def test_it_waits_before_anything_is_made(checks: Checks) -> None:
    checks.start("good", "begin", "passed")
    assert checks.waits().when == "begin"
    assert not checks.log.exists()
    checks.goes_on()
    while checks.record.held() is None or checks.waits().when == "begin":
        time.sleep(0.05)
    assert checks.waits().when == "passed"
    assert checks.log.read_text().split() == ["made", "called"]


def test_one_that_passes_waits_nowhere(checks: Checks) -> None:
    checks.start("good", "failed")
    assert checks.ends() == ["made", "called", "removed"]
    assert checks.verdicts() == {"rename.good": "passed"}


def test_one_that_is_known_to_fail_waits_where_it_fails(checks: Checks) -> None:
    checks.start("known", "failed")
    assert checks.waits().message == "as ever"


def test_its_own_deadline_does_not_end_it_while_it_waits(checks: Checks) -> None:
    checks.start("slow", "failed")
    assert checks.waits().message == "it was slow"
    time.sleep(1.5)
    checks.goes_on()
    checks.ends()
    [line] = (checks.record.directory / "checks.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == "it was slow"


def test_nobody_asked(checks: Checks) -> None:
    checks.start("bad")
    (checks.record.directory / "hold.json").unlink()
    assert checks.ends() == ["made", "called", "removed"]


def test_it_is_left_as_it_failed(checks: Checks) -> None:
    """The session ends there: nothing is taken down, and what follows isn't run."""
    checks.start("*", "leave")
    assert checks.ends() == ["made", "called", "removed", "made", "called"]
    assert checks.process is not None
    assert checks.process.returncode == pytest.ExitCode.TESTS_FAILED
    assert checks.verdicts() == {"rename.good": "passed", "rename.bad": "failed"}
    assert not (checks.record.directory / "running").exists()


def test_one_that_is_known_to_fail_is_not_left(checks: Checks) -> None:
    checks.start("known", "leave")
    assert checks.ends() == ["made", "removed"]
