"""When verdicts of an earlier run stand in a new lab, and when they don't."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit.example_runs import ALL_PASSED, a_run
from vexlab.config import settings, user_directories
from vexlab.config.settings import Options
from vexlab.results import results_file
from vexlab.results.model import Run, Verdict
from vexlab.run import checked_before, up_to_date

INPUTS = up_to_date.Inputs("of one lab", "anywhere")
STAGES = ("load", "mount")
PASSED = ALL_PASSED


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a saved guest, in a home of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "checkpoint").mkdir()
    return tmp_path / "checkpoint"


def end(run: Run, checkpoint: str = "", known: str = "") -> None:
    """As a run ends that passed."""
    directory = user_directories.runs_directory() / run.run
    directory.mkdir(parents=True, exist_ok=True)
    results_file.write(directory / "results.json", run)
    checked_before.note(INPUTS, run, checkpoint, known)


def test_verdicts_of_a_run_that_passed_stand(checkpoint: Path) -> None:
    end(PASSED, str(checkpoint))
    assert checked_before.find(INPUTS, STAGES) == (PASSED, checkpoint)
    assert checked_before.find(up_to_date.Inputs("of one lab", "others"), STAGES) is None


def remove_run(_: Path) -> None:
    shutil.rmtree(user_directories.runs_directory())


ENDS: dict[str, Callable[[Path], object]] = {
    "another run begins": lambda _: checked_before.forget(INPUTS),
    "the saved guest is gone": lambda checkpoint: checkpoint.rmdir(),
    "the run is gone": remove_run,
}


@pytest.mark.parametrize("what", ENDS)
def test_verdicts_end(checkpoint: Path, what: str) -> None:
    end(PASSED, str(checkpoint))
    ENDS[what](checkpoint)
    assert checked_before.find(INPUTS, STAGES) is None


def test_a_stage_that_was_not_judged_has_no_verdict_to_stand(checkpoint: Path) -> None:
    end(a_run({"structure": Verdict.PASSED, "load": Verdict.PASSED}), str(checkpoint))
    assert checked_before.find(INPUTS, STAGES) is None


def test_a_run_of_some_checks_leaves_what_was_known(checkpoint: Path) -> None:
    end(PASSED, str(checkpoint))
    known = checked_before.forget(INPUTS)
    some = replace(PASSED, run="later", chosen=("mount/rename*",))
    end(some, str(checkpoint), known)
    assert checked_before.find(INPUTS, STAGES) == (PASSED, checkpoint)
    checked_before.forget(INPUTS)
    end(some, str(checkpoint))
    assert checked_before.find(INPUTS, STAGES) is None


def made(tmp_path: Path, lab: str, tree: str, **options: int) -> up_to_date.Inputs:
    source = tmp_path / tree
    source.mkdir(exist_ok=True)
    (source / "a.c").write_text("int a;")
    return up_to_date.inputs_of(settings.make(lab, Options(source=str(source), **options)))  # type: ignore[arg-type]


def test_place_of_a_lab_and_of_its_source_are_no_inputs_anywhere(tmp_path: Path) -> None:
    one, other = made(tmp_path, "x", "one", ssh_port=2222), made(tmp_path, "y", "other", ssh_port=3333)
    assert one.anywhere == other.anywhere
    assert one.of_lab != other.of_lab


@pytest.mark.parametrize("option", ["memory_mb", "cpus"])
def test_another_machine_is_another_input(tmp_path: Path, option: str) -> None:
    assert made(tmp_path, "x", "one", **{option: 1024}).anywhere != made(tmp_path, "x", "one").anywhere
