"""How checks are divided among guests that work at once: each is judged, and nobody is faster by chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.made_runs import Made, keep
from vexlab.config import check_list, check_names, stage_list
from vexlab.config.settings import Settings
from vexlab.history import durations, index
from vexlab.results.model import Amounts, Verdict
from vexlab.run import shares
from vexlab.run.shares import Share, Unit, divide, planned, units

NAMES = tuple(spec.name for spec in stage_list.stages())
SINCE = ("mount", "stress", "errors")
# Of a run of the bundled filesystem on two cores without KVM, on 28 November 2026: each test function with its cases.
RECORDED: dict[str, float] = json.loads((Path(__file__).parent / "recorded_durations.json").read_text())


def plan(jobs: int, recorded: Mapping[str, float] = RECORDED, known: tuple[dict[str, Any], ...] = ()) -> list[Share]:
    return list(planned(NAMES, {"vexlab_known_failures": list(known)}, recorded, jobs))


def judged(share: Share, stage: str) -> set[str]:
    """The test functions of a stage that a share has judged, as the guest's conftest chooses them."""
    if stage not in share:
        return set()
    left_out = set(share[stage].leave_out)
    return {check.name for check in check_list.of_stage(stage) if not left_out & set(check_names.levels(check.name))}


def closing(stage: str) -> set[str]:
    return {check.name for check in check_list.of_stage(stage) if check.closes}


@pytest.mark.parametrize("recorded", [RECORDED, {}], ids=["recorded", "nothing is known"])
@pytest.mark.parametrize("jobs", [2, 3, 8, 16])
@pytest.mark.parametrize("stage", SINCE)
def test_each_check_is_judged_once_and_what_closes_by_everyone(
    stage: str, jobs: int, recorded: dict[str, float]
) -> None:
    found = [judged(share, stage) for share in plan(jobs, recorded) if stage in share]
    assert all(each > closing(stage) for each in found)
    once = [name for each in found for name in each - closing(stage)]
    assert sorted(once) == sorted({check.name for check in check_list.of_stage(stage)} - closing(stage))


def test_what_closes_a_stage() -> None:
    assert closing("errors") == {
        "kernel.log_has_no_bug", "kernel.taint_is_explained", "daemon.it_runs",
        "unload_afterwards.what_is_whole_still_mounts", "unload_afterwards.module_unloads_loads_and_mounts",
    }  # fmt: skip
    modules = {(check.stage, check.module) for check in check_list.checks()}
    assert {(spec.name, module) for spec in stage_list.stages() for module in spec.closing} <= modules


def test_checks_that_share_a_filesystem_stay_together() -> None:
    """What is left out of a stage is whole modules."""
    left_out = [choice.leave_out for share in plan(8) for stage, choice in share.items() if stage != "stress"]
    assert all(name.endswith(".") for names in left_out for name in names)
    assert len(left_out) > 8


def test_checks_of_stress_need_not_stay_together() -> None:
    """Each begins with a filesystem of its own, and the longest of a module would be the length of all."""
    churn = [{name for name in judged(share, "stress") if name.startswith("churn.")} for share in plan(16)]
    assert sum(map(bool, churn)) == len(set.union(*churn)) == 4


def test_the_labs_own_guest_judges_some_of_the_stage_that_it_is_at() -> None:
    long_elsewhere = {f"stress/{check.name}": 1000.0 for check in check_list.of_stage("stress")}
    for jobs in (2, 4, 16):
        assert "mount" in plan(jobs, long_elsewhere)[0]


@pytest.mark.parametrize(("jobs", "least"), [(2, 1.6), (4, 3.0), (16, 8.0)])
def test_guests_at_once_are_so_much_faster(jobs: int, least: float) -> None:
    whole = [unit for stage in SINCE for unit in units(stage, RECORDED)]
    alone, beside = (shares.seconds(divide(whole, count, "mount")) for count in (1, jobs))
    assert alone == pytest.approx(sum(RECORDED.values()), abs=10)
    assert alone / beside >= least


def test_load_is_even() -> None:
    whole = [unit for stage in SINCE for unit in units(stage, RECORDED)]
    loads = [load.seconds for load in divide(whole, 4, "mount")]
    assert max(loads) - min(loads) < 2


def test_a_guest_that_would_not_help_is_not_started() -> None:
    whole = [Unit("mount", (f"m{number}.x",), 1.0) for number in range(12)]
    assert len(divide(whole, 8, "mount")) < 8
    assert len(divide(whole[:5], 8, "mount")) == 1
    assert plan(4, dict.fromkeys(RECORDED, 0.0)) == []


def test_shares_are_the_same_whatever_the_order_of_the_records() -> None:
    assert plan(5) == plan(5, dict(reversed(RECORDED.items())))


def test_without_a_second_guest_or_a_checkpoint_there_is_nothing_to_share() -> None:
    contract: dict[str, Any] = {"vexlab_known_failures": []}
    assert planned(NAMES, contract, RECORDED, 1) == ()
    assert planned(NAMES[:4], contract, RECORDED, 4) == ()
    assert {stage for share in planned(NAMES[:5], contract, RECORDED, 4) for stage in share} == {"mount"}
    without_mount = planned((*NAMES[:4], "errors"), contract, RECORDED, 2)
    assert [set(share) for share in without_mount] == [{"errors"}, {"errors"}]


def test_checks_of_which_one_has_to_fail_are_judged_by_one_guest() -> None:
    """That none of them fails any more is an error, which nobody else can tell."""
    entry = {"check": "stress/c*", "reason": "old"}
    names = {check.name for check in check_list.of_stage("stress") if check.name[0] == "c"}

    def having(entry: dict[str, Any]) -> list[set[str]]:
        return [found for share in plan(8, known=(entry,)) if (found := judged(share, "stress") & names)]

    assert having(entry) == [names]
    assert len(having(entry | {"sometimes": True})) > 1


def test_what_no_run_told_takes_as_long_as_usual() -> None:
    """Of a stage that was judged before it was skipped."""
    [first, *_] = units("stress", {})
    assert first.seconds == 4
    some = units("stress", {"stress/churn.stress_ng[x]": 10.0, "stress/churn.stress_ng[y]": 2.0, "mount/data.x": 50.0})
    assert {unit.names: unit.seconds for unit in some if unit.seconds > 1} == {("churn.stress_ng",): 12.0}


def test_all_guests_of_a_run_have_one_seed(tmp_path: Path) -> None:
    drawn, given = (
        shares.with_one_seed(Settings("lab", tmp_path, {"vexlab_seed": seed})).contract["vexlab_seed"]
        for seed in (0, 7)
    )
    assert drawn > 0
    assert given == 7


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


@pytest.mark.usefixtures("home")
def test_seconds_are_those_of_the_last_runs_of_the_target_that_were_alike() -> None:
    over = "mount/rename.over"
    quick = {"amounts": Amounts(True, 5, 25, 500, 0)}
    keep(1, Made(seconds={over: 90.0}, changes=quick))
    for number, seconds in ((2, 1.0), (3, 5.0), (4, 2.0)):
        keep(number, Made(seconds={over: seconds}))
    keep(5, Made(wrong={over: Verdict.FAILED}, seconds={over: 70.0}))
    keep(6, Made(seconds={over: 30.0}, changes={"target": "other"}))
    assert index.ask(lambda past: durations.recorded("vexfs", past))[over] == 2.0
    assert index.ask(lambda past: durations.recorded("other", past))[over] == 30.0
    assert index.ask(lambda past: durations.recorded("unheard of", past))[over] == 30.0
