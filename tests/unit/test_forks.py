"""Processes that judge beside the run: how many there are at once, and what one that ends without an answer leaves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from vexlab.config.settings import Settings
from vexlab.guest.lab import Lab
from vexlab.report.screen import Screen
from vexlab.report.terminal import Progress
from vexlab.run import reruns
from vexlab.run.forks import Forks, Order
from vexlab.run.replan import Choice
from vexlab.run.shares import Share

NAMES = ("fork-1", "fork-2", "fork-3")


@pytest.fixture
def forks(tmp_path: Path) -> Forks:
    """In a lab that can have no other guests, since a file is where their directories would be."""
    (tmp_path / "forks").touch()
    contract = {"vexlab_runtime_directory": ""}
    return Forks(Lab("lab", tmp_path), Settings("lab", tmp_path, contract), tmp_path, "saved")


def wait(forks: Forks) -> str:
    screen = Screen(stderr=True)
    with screen.capture() as said, Progress(screen) as progress:
        forks.wait(progress, "forks")
    return said.get()


def shares(number: int, *stages: str) -> dict[str, Share]:
    return {name: {stage: Choice() for stage in stages} for name in NAMES[:number]}


def test_those_that_end_without_an_answer_have_judged_nothing(tmp_path: Path, forks: Forks) -> None:
    """As one that was killed; the run judges their shares itself."""
    forks.begin(shares(2, "mount", "errors"), 2)
    said = wait(forks)
    assert "fork 1: its process ended without an answer; see" in said
    assert (tmp_path / "fork-1" / "progress.log").stat().st_size
    assert forks.results() == []
    assert forks.unjudged() == {"mount", "errors"}
    assert forks.directories == [tmp_path / name for name in NAMES[:2]]


def test_others_wait_until_one_has_ended(tmp_path: Path, forks: Forks) -> None:
    forks.begin(shares(3, "mount"), 2)
    assert sorted(path.name for path in tmp_path.glob("fork-*")) == ["fork-1", "fork-2"]
    wait(forks)
    assert list(forks.answers()) == list(NAMES)


def test_those_that_wait_are_not_started_when_the_run_ends(tmp_path: Path, forks: Forks) -> None:
    forks.begin(shares(3, "mount"), 1)
    forks.end()
    assert not (tmp_path / "fork-2").exists()
    assert list(forks.answers()) == ["fork-1"]
    assert forks.unjudged() == {"mount"}


def test_rerun_that_came_to_nothing_is_no_trial(tmp_path: Path, forks: Forks) -> None:
    """It is told, and the check neither passed nor failed by it."""
    screen = Screen(stderr=True)
    with screen.capture() as said, Progress(screen) as progress:
        assert list(reruns.in_forks(forks, "mount", "rename.x", progress, times=3, at_once=2)) == []
    assert "mount/rename.x is run 3 times again, each time in a guest of its own, 2 at once" in said.get()
    assert "rerun 3: its process ended without an answer" in said.get()
    order = msgspec.json.decode((tmp_path / "rerun-3" / "order.json").read_bytes(), type=Order)
    assert (order.share, order.goes_on) == ({"mount": Choice(only=("rename.x",))}, False)
