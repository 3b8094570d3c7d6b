"""`vexlab status` tells what a lab tests, from what was written when it was brought up, with or without a guest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.example_runs import a_run
from vexlab.config import settings
from vexlab.config.settings import Options
from vexlab.guest import lab as labs
from vexlab.guest.lab import started
from vexlab.results import results_file
from vexlab.run import run_directory

MODULE = {"name": "vexfs", "sha256": "ab12" * 16, "srcversion": "0123ABC", "build_id": ""}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def status(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vexlab", "status", *words], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return done.stdout


def test_it_tells_target_variant_source_and_build() -> None:
    made = settings.make("default", Options())
    lab = labs.find("default")
    lab.write_inventory(made, sys.executable)
    rows = [line.split() for line in status().splitlines()]
    assert ["build", "none", "yet"] in rows
    lab.remember_module(MODULE)
    rows = [line.split() for line in status().splitlines()]
    assert rows[0] == ["lab", "default"]
    assert rows[1][:2] == ["target", "vexfs"]
    assert rows[1][2].endswith("/examples/targets/vexfs.yml)")
    assert ["variant", "c-only"] in rows
    assert ["source", made.source] in rows
    assert ["build", "sha256", "ab12ab12ab12…,", "srcversion", "0123ABC"] in rows
    assert json.loads(status("--json"))[0]["tests"] == {
        "target": "vexfs", "target_file": made.contract["vexlab_target_file"], "variant": "c-only",
        "source": made.source, "module": MODULE,
    }  # fmt: skip


def test_lab_whose_first_run_was_killed_early() -> None:
    labs.find("default").directory.mkdir(parents=True)
    assert status().splitlines()[1].split()[:3] == ["guest", "not", "up;"]
    assert json.loads(status("--json"))[0]["tests"] is None


def test_last_run_goes_on() -> None:
    labs.find("default").directory.mkdir(parents=True)
    path = run_directory.new_directory("default")
    results_file.write(path / "results.json", a_run({}, run=path.name, finished=None))
    assert f"last run {path.name}, " in status()
    assert status().splitlines()[-2].endswith(" ago: running")
    (path / "process").write_text(f"{os.getpid()} {int(started(os.getpid())) - 1}\n")
    assert status().splitlines()[-2].endswith(" ago: not_run")
