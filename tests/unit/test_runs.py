"""The list of runs and their removal: what goes on says so, as much of a name is enough, and nothing needed goes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.example_runs import a_run, with_last
from vexlab.config import user_directories
from vexlab.errors import UsageProblem
from vexlab.guest.lab import started
from vexlab.report import terminal
from vexlab.results import archive, results_file
from vexlab.results.model import Verdict
from vexlab.run import prune_runs, run_directory

NOW = datetime.now(UTC)
ALL = timedelta(0)


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def kept(name: str, lab: str = "default", *, hours: float = 1.0, **changes: Any) -> Path:
    """A run that is kept; it began so many hours ago."""
    path = user_directories.runs_directory() / name
    path.mkdir(parents=True)
    (path / "lab").write_text(f"{lab}\n")
    began = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")
    run = with_last(changes.pop("verdict", Verdict.PASSED))
    of_run = {"run": name, "started": began, "stages": run.stages, "verdict": run.verdict, "selected": run.selected}
    results_file.write(path / "results.json", a_run({}, **(of_run | changes)))
    os.utime(path, times=((NOW - timedelta(hours=hours)).timestamp(),) * 2)
    return path


def vexlab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_list_has_a_line_each_the_newest_first() -> None:
    kept("20261101-000000-default", hours=50)
    kept("20261102-000000-other", "other", hours=1, verdict=Verdict.FAILED)
    running = kept("20261103-000000-default", hours=0.1, finished=None, stages=(), verdict=Verdict.NOT_RUN)
    (running / "process").write_text(f"{os.getpid()} {started(os.getpid())}\n")
    killed = kept("20261104-000000-default", hours=0.1, finished=None, stages=(), verdict=Verdict.NOT_RUN)
    (killed / "process").write_text(f"{os.getpid()} 1\n")  # the number is another process's by now
    done = vexlab("runs")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[1:]] == [
        "20261104-000000-default", "20261103-000000-default", "20261102-000000-other", "20261101-000000-default",
    ]  # fmt: skip
    assert [line[5] for line in lines[1:]] == ["killed", "running", "failed", "passed"]
    assert [" ".join(line[1:3]) for line in lines[1:]] == ["6 min", "6 min", "60 min", "2 d"]
    assert "stress: stress.three: it broke" in done.stdout
    assert vexlab("runs", "-n", "1").stdout.splitlines()[1].startswith("20261104-")
    assert "3 earlier runs are not listed" in vexlab("runs", "-n", "1").stderr
    assert [run["run"] for run in json.loads(vexlab("runs", "--name", "other", "--json").stdout)] == [
        "20261102-000000-other"
    ]


def test_narrow_terminal_cuts_the_cause_and_no_name(state: Path) -> None:
    name = "20261101-000000-a-lab-with-a-rather-long-name"
    kept(name, verdict=Verdict.FAILED)
    command = f"stty cols 80; exec {sys.executable} -m vexlab runs"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2], env=os.environ | {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    [line] = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in done.stdout.splitlines() if name in line]
    assert len(line.rstrip()) <= 80
    assert line.rstrip().endswith("…")
    assert "stress: stress" in line


def test_beginning_of_a_name_is_enough_if_it_is_of_one_run() -> None:
    first, second = kept("20261101-000000-default"), kept("20261101-000001-default")
    assert archive.find("20261101-000000") == first
    assert archive.find(second.name) == second
    with pytest.raises(UsageProblem, match="2 runs begin with '20261101'") as raised:
        archive.find("20261101")
    assert first.name in raised.value.hint
    for name in ("2027", "", "..", "20261101-000000-default/../20261101-000001-default"):
        with pytest.raises(UsageProblem, match="there is no run"):
            archive.find(name)


def test_whole_name_of_one_that_is_the_beginning_of_another() -> None:
    first = kept("20261101-000000-default")
    kept("20261101-000000-default-2")
    assert archive.find("20261101-000000-default") == first


def test_old_runs_go_and_needed_ones_stay(state: Path) -> None:
    oldest = kept("20261101-000000-default", hours=100)
    relied_on = kept("20261102-000000-default", hours=90)
    remembered = kept("20261103-000000-default", hours=80)
    running = kept("20261104-000000-default", hours=70, finished=None)
    other = kept("20261101-000000-other", "other", hours=100)
    young = kept("20261105-000000-default", hours=3)
    newest = kept("20261106-000000-default", hours=2)
    (running / "process").write_text(f"{os.getpid()} {started(os.getpid())}\n")
    readiness = state / "vexlab" / "readiness" / "ab"
    readiness.mkdir(parents=True)
    (readiness / "readiness.json").write_text(json.dumps({"sources": [{"what": relied_on.name}]}))
    lab = state / "vexlab" / "labs" / "default"
    lab.mkdir(parents=True)
    (lab / "up_to_date.json").write_text(json.dumps({"run": remembered.name}))

    def planned(keep: int, older_than: timedelta = ALL) -> list[Path]:
        return [removal.directory for removal in prune_runs.plan(archive.directories(), keep, older_than, NOW)]

    assert planned(1) == [oldest, young]
    assert planned(1, timedelta(hours=24)) == [oldest]
    assert planned(2) == [oldest]
    assert planned(7) == []
    assert {other, newest} & set(planned(1)) == set()
    prune_runs.remove(prune_runs.plan(archive.directories(), 1, ALL, NOW))
    assert {path.name for path in archive.directories()} == {
        path.name for path in (relied_on, remembered, running, other, newest)
    }


def test_nothing_is_removed_unasked() -> None:
    path = kept("20261101-000000-default", hours=100)
    kept("20261102-000000-default")
    shown = vexlab("runs", "prune", "--keep", "1", "--dry-run")
    assert (shown.returncode, shown.stdout.split()[0], path.is_dir()) == (0, path.name, True)
    refused = vexlab("runs", "prune", "--keep", "1")
    assert (refused.returncode, path.is_dir()) == (2, True)
    assert "there is nobody to ask" in refused.stderr
    assert vexlab("runs", "prune", "--keep", "1", "--yes").returncode == 0
    assert not path.exists()
    assert "there is nothing to remove" in vexlab("runs", "prune", "--keep", "1", "--yes").stderr


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (180_000, "2 d")],
)
def test_age(seconds: int, shown: str) -> None:
    assert terminal.age((datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()) == shown
    assert terminal.age("yesterday") == ""


def test_directory_of_a_new_run_says_who_writes_to_it() -> None:
    path = run_directory.new_directory("default")
    assert run_directory.is_running(path)
    assert archive.lab_of(path) == "default"
    (path / "process").write_text("1 nonsense\n")
    assert not run_directory.is_running(path)
    assert not run_directory.is_running(path.parent)
