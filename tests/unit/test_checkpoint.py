"""Guests that are saved while they run: their memory, what is kept, and which plans can begin there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import checkpoint, saved_state
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import LabFiles

from tests.unit.test_warm_key import INPUTS
from vexlab.config import stage_list
from vexlab.run import replan
from vexlab.run.replan import Plan

MIB = 1 << 20
SPECS = stage_list.stages()


def test_copy_of_a_memory_has_its_holes_and_none_of_its_zeros(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        os.pwrite(file.fileno(), bytes(8 * MIB), 16 * MIB)
        os.pwrite(file.fileno(), b"in the middle", 40 * MIB + 4000)
    with source.open("rb") as memory, target.open("wb") as copy:
        saved_state.copy_data(memory, copy)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < MIB < source.stat().st_blocks * 512


def directory(**inputs: object) -> Path:
    return checkpoint.directory_of(LabFiles({**INPUTS, "checkpoint": "a", **inputs}), Path("/image"), "7.2.22", "tcg")


def test_labs_share_a_checkpoint_of_the_same_inputs_and_machine() -> None:
    assert directory(lab="y", directory="/labs/y", source="/elsewhere", ssh_port=3333) == directory()
    assert directory(checkpoint="b") != directory()
    assert directory(memory_mb=1024) != directory()


def test_the_checkpoints_used_last_are_kept(tmp_path: Path) -> None:
    for number in range(checkpoint.KEPT + 2):
        (tmp_path / f"{number}").mkdir()
        used = time.time() - 60 * number
        os.utime(tmp_path / f"{number}", (used, used))
    (tmp_path / ".x.tmp").mkdir()
    (tmp_path / ".y.tmp").mkdir()  # of a save that was killed
    with saved_state.locked(tmp_path / "x.lock"):  # somebody is saving it
        checkpoint._prune(tmp_path / "0")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {*map(str, range(checkpoint.KEPT)), ".x.tmp"}


def test_what_nobody_uses_for_two_weeks_is_not_kept(tmp_path: Path) -> None:
    for name, days in (("new", 0), ("used", 13), ("old", 15)):
        (tmp_path / name).mkdir()
        used = time.time() - days * 86400
        os.utime(tmp_path / name, (used, used))
    checkpoint._prune(tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"new", "used"}


@pytest.mark.parametrize("judged", [("mount",), ("stress", "errors"), ("mount", "stress", "errors")])
def test_what_comes_after_a_checkpoint_begins_there(judged: tuple[str, ...]) -> None:
    plan = Plan("up", judged, applied=replan.needed(SPECS, judged), fresh=True)
    assert replan.from_checkpoint(SPECS, plan, "a") == Plan(
        "up", judged, apply=False, fresh=True, checkpoint="a", goes_on=True
    )


@pytest.mark.parametrize(
    ("names", "stage", "is_that_of_all"),
    [
        (("structure", "build", "load", "mkfs", "mount", "stress", "errors"), "mount", True),
        (("load", "mkfs", "mount"), "mount", True),
        (("load", "mkfs", "stress", "errors"), "stress", False),
        (("load", "mkfs", "errors"), "errors", False),
        (("structure", "build", "load"), "", True),
    ],
)
def test_guest_in_which_nothing_is_mounted_is_saved_under_another_name(
    names: tuple[str, ...], stage: str, is_that_of_all: bool
) -> None:
    """Who goes on from one that is mounted must not get one that isn't."""
    assert replan.saved_at(SPECS, names) == stage
    assert (replan.checkpoint_name(SPECS, names, "all") == "all") is is_that_of_all
    only_errors = replan.checkpoint_name(SPECS, ("errors",), "all")
    assert (
        replan.checkpoint_name(SPECS, ("stress",), "all")
        == only_errors
        != replan.checkpoint_name(SPECS, ("errors",), "b")
    )


@pytest.mark.parametrize(
    ("judged", "fresh", "name"),
    [(("mkfs", "mount"), True, "a"), (("mount",), False, "a"), (("mount",), True, "")],
    ids=["what is judged comes before it", "the guest is there", "nothing was saved"],
)
def test_what_can_not_begin_at_a_checkpoint(judged: tuple[str, ...], fresh: bool, name: str) -> None:
    assert replan.from_checkpoint(SPECS, Plan("up", judged, fresh=fresh), name) is None
