"""A machine for tests is one controller's at a time: the real module, asked by real processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit import modules
from vexlab.errors import GuestProblem, StageFailed, UsageProblem
from vexlab.guest import machine_claim


def asking(directory: Path) -> Callable[[str, dict[str, Any], str], dict[str, Any] | None]:
    def ask(state: str, who: dict[str, Any], instead_of: str) -> dict[str, Any] | None:
        inputs = {"state": state, "directory": str(directory), "claim": who, "instead_of": instead_of}
        answer = modules.run("claim", inputs)
        assert not answer["failed"]
        holder: dict[str, Any] | None = answer["holder"]
        return holder

    return ask


def claim_of(process: subprocess.Popen[bytes], **more: Any) -> dict[str, Any]:
    """What that process would have claimed."""
    from vexlab.guest.lab import started

    return (
        machine_claim.mine()
        | {"id": f"VEXLAB_RUN={process.pid}", "pid": process.pid, "started": started(process.pid)}
        | more
    )


def test_it_is_had_and_freed(tmp_path: Path) -> None:
    with machine_claim.held("bench1", asking(tmp_path)):
        assert json.loads((tmp_path / "claim.json").read_text())["id"] == machine_claim.mine()["id"]
    assert not (tmp_path / "claim.json").exists()


def test_the_second_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        asking(tmp_path)("taken", claim_of(other, who="alice on desk"), "")
        with (
            pytest.raises(UsageProblem, match=f"in use: by alice on desk, process {other.pid}, since 20"),
            machine_claim.held("bench1", asking(tmp_path)),
        ):
            raise AssertionError
        assert "--take-over" in _hint(tmp_path)
    finally:
        other.kill()
        other.wait()
    with machine_claim.held("bench1", asking(tmp_path)):  # it has provably ended
        pass


def _hint(directory: Path) -> str:
    with pytest.raises(UsageProblem) as raised, machine_claim.held("bench1", asking(directory)):
        raise AssertionError
    return raised.value.hint


@pytest.mark.parametrize(
    "held_by", [{"where": "another kernel"}, {"pid": "1; reboot"}, {}], ids=["elsewhere", "odd", "none"]
)
def test_nobody_knows_so_a_person_says_it(tmp_path: Path, held_by: dict[str, Any]) -> None:
    if held_by:
        asking(tmp_path)("taken", machine_claim.mine() | {"id": "other"} | held_by, "")
    else:
        (tmp_path / "claim.json").write_text("{")
    assert "--take-over" in _hint(tmp_path)
    with machine_claim.held("bench1", asking(tmp_path), take_over=True):
        assert json.loads((tmp_path / "claim.json").read_text())["id"] == machine_claim.mine()["id"]


def test_what_it_started_still_runs(tmp_path: Path) -> None:
    """The command was killed, and its reaper has not ended all of its work yet."""
    gone = subprocess.Popen(["sleep", "60"])
    theirs = claim_of(gone)
    gone.kill()
    gone.wait()
    left = subprocess.Popen(["sleep", "60"], env={"VEXLAB_RUN": str(gone.pid)})
    try:
        assert not machine_claim.has_ended(theirs)
    finally:
        left.kill()
        left.wait()
    assert machine_claim.has_ended(theirs)


def test_of_many_at_once_one_has_it(tmp_path: Path) -> None:
    claims = [machine_claim.mine() | {"id": f"id-{number}"} for number in range(8)]
    asked = [
        subprocess.Popen(
            [
                *modules.command("claim"),
                modules.arguments({"state": "taken", "directory": str(tmp_path), "claim": one}),
            ],
            stdout=subprocess.PIPE,
        )
        for one in claims
    ]
    told = {json.loads(process.communicate()[0])["holder"]["id"] for process in asked}
    assert len(told) == 1


def test_only_its_holder_frees_it(tmp_path: Path) -> None:
    ask = asking(tmp_path)
    ask("taken", machine_claim.mine() | {"id": "other"}, "")
    holder = ask("free", machine_claim.mine(), "")
    assert holder is not None
    assert holder["id"] == "other"


def test_a_machine_that_died_hides_nothing(tmp_path: Path) -> None:
    """It can't be freed then, and what the command has to say comes through."""

    def ask(state: str, who: dict[str, Any], instead_of: str) -> dict[str, Any] | None:
        if state == "free":
            raise GuestProblem("unreachable")
        return asking(tmp_path)(state, who, instead_of)

    with pytest.raises(StageFailed, match="panicked"), machine_claim.held("bench1", ask):
        raise StageFailed("panicked")


def test_check_mode_tells_who_would_have_it(tmp_path: Path) -> None:
    inputs = {"directory": str(tmp_path / "run"), "claim": {"id": "a"}}
    for made in (False, True):
        answer = modules.run("claim", inputs | {"state": "taken"}, check=True)
        assert (answer["changed"], answer["holder"]) == (True, {"id": "a"})
        answer = modules.run("claim", inputs | {"state": "free"}, check=True)
        assert (answer["changed"], answer["holder"]) == (False, None)
        assert (tmp_path / "run").exists() == made
        (tmp_path / "run").mkdir(exist_ok=True)
    assert modules.run("claim", inputs | {"state": "taken"})["changed"] is True
    assert modules.run("claim", inputs | {"state": "taken"})["changed"] is False
    assert modules.run("claim", inputs | {"state": "free"}, check=True)["changed"] is True
    assert (tmp_path / "run" / "claim.json").exists()
