"""A run whose results can't be read is named, and hides no other: from lists, the last run, the gate, phases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.gate_evidence import MODULE, a_phase, a_run, criterion, decide, sealed
from vexlab.config import user_directories
from vexlab.gate import evidence, phase_order
from vexlab.results import archive, results_file
from vexlab.results.model import Verdict


def is_a_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def is_a_link_to_nothing(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("nowhere")


def can_not_be_opened(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read whatever its mode is")
    path.chmod(0)


def can_not_be_entered(path: Path) -> None:
    can_not_be_opened(path)
    path.parent.chmod(0)


def another_version(path: Path) -> None:
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))


def claims_too_much(path: Path) -> None:
    document = json.loads(path.read_text())
    document["stages"][0]["checks"] = []
    path.write_text(json.dumps(document))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut short": lambda path: path.write_text(path.read_text()[:200]),
    "binary": lambda path: path.write_bytes(bytes(range(128, 256))),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[]"),
    "another version": another_version,
    "claims too much": claims_too_much,
    "a directory": is_a_directory,
    "a link to nothing": is_a_link_to_nothing,
    "not readable": can_not_be_opened,
    "not to be entered": can_not_be_entered,
}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return DAMAGES[request.param]


def unsealed(name: str) -> Path:
    run = a_run(name)
    path = user_directories.runs_directory() / name
    path.mkdir(parents=True)
    (path / "lab").write_text("default\n")
    results_file.write(path / "results.json", run)
    return path


def vexlab(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("vexlab")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, env=os.environ)


def test_the_others_are_listed(damage: Callable[[Path], object]) -> None:
    for name in ("1-first", "2-damaged", "3-last"):
        unsealed(name)
    damage(user_directories.runs_directory() / "2-damaged" / "results.json")
    runs, unreadable = archive.read_all(archive.directories())
    assert [run.run for run in runs] == ["1-first", "3-last"]
    assert [one.name for one in unreadable] == ["2-damaged"]
    assert unreadable[0].why


def test_last_run_is_the_last_that_can_be_read(damage: Callable[[Path], object]) -> None:
    for name in ("1-first", "2-damaged"):
        unsealed(name)
    damage(user_directories.runs_directory() / "2-damaged" / "results.json")
    run, unreadable = archive.last()
    assert (run and run.run, [one.name for one in unreadable]) == ("1-first", ["2-damaged"])


def test_failure_that_was_sealed_counts_though_it_can_not_be_read(damage: Callable[[Path], object]) -> None:
    """Of the same module, in the VM and on a device: the chain still tells its verdict."""
    sealed(a_run(finished=a_run().started))
    damage(sealed(a_run("worse", {"mount": Verdict.FAILED})) / "results.json")
    assert decide().level == "none"
    assert "worse, a run of the same module, went wrong: mount failed" in criterion(decide(), "tests").why
    sealed(a_phase(1, 0.5))
    damage(sealed(a_phase(1, 0.9, Verdict.FAILED)) / "results.json")
    past, unreadable = evidence.on_hardware()
    assert (phase_order.modules_that_passed(past, "S1", 1), unreadable) == ([], [])


def test_what_nothing_tells_of_hinders_no_other_module(damage: Callable[[Path], object]) -> None:
    """Neither the gate nor the phases of a device; it is named."""
    sealed(a_run())
    sealed(a_phase(1, 0.5))
    damage(unsealed("9-killed") / "results.json")
    assert decide().level == "vm"
    past, unreadable = evidence.on_hardware()
    assert phase_order.modules_that_passed(past, "S1", 1) == [MODULE.sha256]
    assert [one.name for one in unreadable] == ["9-killed"]


@pytest.mark.parametrize("marker", [b"\xff\xfe", None], ids=["binary", "a directory"])
def test_run_of_an_unknown_lab_is_of_none(marker: bytes | None) -> None:
    for name in ("1-first", "2-damaged"):
        unsealed(name)
    path = user_directories.runs_directory() / "2-damaged" / "lab"
    if marker is None:
        is_a_directory(path)
    else:
        path.write_bytes(marker)
    assert [found.name for found in archive.directories("default")] == ["1-first"]


def test_commands_name_it_and_go_on() -> None:
    for name in ("1-first", "2-damaged"):
        unsealed(name)
    (user_directories.runs_directory() / "2-damaged" / "results.json").write_text("{")
    (user_directories.labs_directory() / "default").mkdir(parents=True)
    for words, shown in (
        (["runs"], "1-first"),
        (["runs", "--json"], '"run": "1-first"'),
        (["report", "--format", "json"], '"run": "1-first"'),
        (["status", "--json"], '"run": "1-first"'),
        (["gate"], ""),
    ):
        done = vexlab(*words)
        assert "Traceback" not in done.stderr
        assert "run 2-damaged is passed over: " in done.stderr
        assert shown in done.stdout
        assert done.returncode == (1 if words == ["gate"] else 0), done.stderr
    done = vexlab("report", "2-damaged")
    assert done.returncode == 1
    assert "2-damaged/results.json is not JSON" in done.stderr
