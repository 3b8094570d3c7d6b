"""What the benchmarks say must be true: failures are no times, medians and goals are right, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from benchmarks import labs
from benchmarks.measure import BenchmarkError, Contestant, Running, interleave, run, run_together
from benchmarks.memory import Process, of_the_run, program
from benchmarks.table import at_least, at_most, markdown, missing, ratio, seconds
from vexlab.guest.lab import started

ENVIRONMENT = dict(os.environ)
ROOT = Path(__file__).resolve().parents[2]


def test_a_command_is_timed() -> None:
    finished = run(["sh", "-c", "sleep 0.2; echo done"], env=ENVIRONMENT)
    assert finished.stdout == "done\n"
    assert 0.2 <= finished.seconds < 5


def test_a_failure_is_no_time() -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)ended with status 3.*no such guest"):
        run(["sh", "-c", "echo no such guest >&2; exit 3"], env=ENVIRONMENT)


def test_a_failure_among_several_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="ended with status 3"):
        run_together([["true"], ["sh", "-c", "exit 3"], ["true"]], env=ENVIRONMENT, cwd=tmp_path)


def test_commands_start_at_once(tmp_path: Path) -> None:
    assert run_together([["sleep", "1"]] * 4, env=ENVIRONMENT, cwd=tmp_path) < 3


SCRIPT = """trap 'echo >>cleared; asked=1' INT
sleep 300 &
echo $! >left
touch ready
until [ "$asked" ]; do sleep 0.05; done
sleep 0.5
exit 130"""
# Whoever runs the tests in the background has SIGINT ignored, which a shell's trap can't undo.
CLEARS_AWAY = ["env", "--default-signal=INT", "sh", "-c", SCRIPT]


@pytest.mark.parametrize("together", [False, True])
def test_an_interruption_ends_what_runs(tmp_path: Path, together: bool) -> None:
    """Ctrl-C must let a command clear away what it started, and leave no process."""

    def when_ready(number: int, frame: FrameType | None) -> None:
        # Not at once: the command runs before we are told that it does.
        if (tmp_path / "ready").exists() and time.time() - (tmp_path / "ready").stat().st_mtime > 0.3:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, when_ready)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            if together:
                run_together([CLEARS_AWAY], env=ENVIRONMENT, cwd=tmp_path)
            else:
                run(CLEARS_AWAY, env=ENVIRONMENT, cwd=tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "cleared").read_text() == "\n"
    left, deadline = int((tmp_path / "left").read_text()), time.monotonic() + 10
    while started(left):  # a process that was just killed takes a moment to be gone
        assert time.monotonic() < deadline, "the sleep of 300 seconds was left running"
        time.sleep(0.01)


def test_it_is_asked_once(tmp_path: Path) -> None:
    """A second Ctrl-C could cut the clearing away short."""
    running = Running(CLEARS_AWAY, ENVIRONMENT, tmp_path, None)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    running.ask_to_end()
    time.sleep(0.1)
    running.end()
    assert (tmp_path / "cleared").read_text() == "\n"


def test_contestants_take_turns() -> None:
    order: list[str] = []

    def contestant(name: str) -> Contestant:
        return Contestant(name, lambda: float(not order.append(name)))  # type: ignore[func-returns-value]

    assert interleave([contestant("a"), contestant("b")], 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert order == ["a", "b", "a", "b"]


def test_the_figure_is_the_median_and_meets_its_goal_or_not() -> None:
    reached, missed = seconds("up", [1, 2, 90], at_most(2)), seconds("up", [1, 2, 90], at_most(1.9))
    assert reached.cells() == ("up", "2.00 s", "1.00 to 90.0", "3", "≤ 2 s", "reached")
    assert missed.cells()[-1] == "NOT reached"
    assert seconds("up", [5], at_least(5)).cells()[-1] == "reached"
    assert seconds("up", [5], at_least(5.1)).cells()[-1] == "NOT reached"


def test_a_ratio_is_that_of_the_medians() -> None:
    row = ratio("a to b", [1, 10, 4], [1, 2, 8], at_most(2))
    assert row.cells() == ("a to b", "2.00 times", "0.50 to 5.00", "3", "≤ 2 times", "reached")


def test_what_was_not_measured_says_why() -> None:
    assert "| virtme-ng | - " in (text := markdown("Guests", [missing("virtme-ng", "vng is missing")]))
    assert "not measured: vng is missing" in text


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/usr/bin/python3", "-m", "vexlab", "up"], "python3 -m vexlab"),
        (["/usr/bin/python3.11", "-B", "/x/ansible-playbook", "a.yml"], "python3.11 ansible-playbook"),
        (["python3", "-c", "import os"], "python3 -c"),
        (["qemu-system-x86_64", "-m", "2048"], "qemu-system-x86_64"),
        (["sshd: root@notty"], "sshd"),
        ([""], "?"),
    ],
)
def test_programs_are_named_by_what_they_run(command: list[str], name: str) -> None:
    assert program(command) == name


def test_processes_of_a_run_are_the_marked_ones_and_what_they_started() -> None:
    def process(pid: int, parent: int, *, marked: bool = False) -> Process:
        return Process(pid, parent, "x", 1.0, 1.0, marked)

    # 12 is of a sandbox, which clears its environment; 20 is a daemon that kept it; 30 is somebody else's.
    made = [process(12, 11), process(11, 10), process(10, 1, marked=True), process(20, 1, marked=True), process(30, 1)]
    assert sorted(found.pid for found in of_the_run(made)) == [10, 11, 12, 20]


def test_nothing_stays_behind() -> None:
    with pytest.raises(BenchmarkError), labs.bench() as bench:
        scratch = bench.scratch
        assert scratch.is_dir()
        raise BenchmarkError("on the way")
    assert not scratch.exists()


def test_every_guest_is_ended(tmp_path: Path) -> None:
    """A guest that was started by hand, one of a lab, and the directories with the records of both."""
    bench = labs.Bench(tmp_path)
    for name in ("guests/a", "guests/b", "state/vexlab/labs/c"):
        directory = bench.directory(name)
        record = {"lab": directory.name, "uuid": "x", "parameters": {}, "control_path": f"{tmp_path}/run/{name}/ssh"}
        (directory / "guest.json").write_text(json.dumps(record))
    bench.clear_away()
    assert not list(tmp_path.rglob("guest.json"))


def test_an_unknown_section_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "unknown section 'nonsense'" in done.stderr) == (2, True)
