"""A control beside a run: what of the run is tried on it, and what is said of what came of that."""

from __future__ import annotations

import pytest

from tests.unit.example_runs import a_run
from vexlab.config import installation
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem
from vexlab.results.model import Check, Run, Stage, Verdict
from vexlab.run import control, replan
from vexlab.run.replan import Choice


def run_of(target: str, **stages: dict[str, Verdict]) -> Run:
    """A run of a target with these checks in its stages."""
    made = tuple(
        Stage(name, Verdict.FAILED, checks=tuple(Check(check, verdict, 0.1) for check, verdict in checks.items()))
        for name, checks in stages.items()
    )
    return a_run({}, target=target, stages=made, selected=tuple(stages))


def test_control_is_of_the_lab_but_for_what_is_tested() -> None:
    options = Options(source="/src", variant="full", memory_mb=1024, seed=7, quick=True)
    beside = control.beside("mine", "ext4", options)
    contract = beside.settings.contract
    assert (beside.lab.name, beside.name, contract["vexlab_source"]) == ("mine-ext4", "ext4", "")
    assert (contract["vexlab_memory_mb"], contract["vexlab_seed"], contract["vexlab_quick"]) == (1024, 7, True)


@pytest.mark.parametrize(
    ("target", "name", "packages"),
    [("apfs", "ext4", {"apfsprogs"}), ("vexfs", "ext4", {"rustc"}), ("apfs", "xfs", {"apfsprogs", "xfsprogs"})],
)
def test_control_starts_from_the_targets_own_image_if_that_has_all(target: str, name: str, packages: set[str]) -> None:
    file = str(installation.root() / "examples" / "targets" / f"{target}.yml")
    has = set(control.beside("mine", name, Options(target=file)).settings.contract[control.PACKAGES])
    assert has == packages if name == "ext4" else has > packages


def test_control_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageProblem, match="unknown control 'ext5'") as told:
        control.beside("mine", "ext5", Options())
    assert "ext4" in told.value.hint


def test_only_what_went_wrong_and_the_control_can_have_is_run_on_it() -> None:
    settings = control.beside("mine", "tmpfs", Options()).settings
    run = run_of(
        "vexfs",
        build={"build.module_is_live": Verdict.FAILED},
        mount={
            "truncate.length_and_content_at_once[shrink within a block]": Verdict.PASSED,
            "remount.read_only_and_back": Verdict.FAILED,
            "own.of_the_target[vectors of files]": Verdict.FAILED,
        },
    )
    selected = control.wrong_in(run, settings)
    assert selected is not None
    assert (selected.judged, selected.applied) == (("mount",), ("load",))
    assert selected.choices == {"mount": Choice(only=("remount.read_only_and_back",))}


def test_nothing_is_run_on_it_when_nothing_went_wrong() -> None:
    settings = control.beside("mine", "tmpfs", Options()).settings
    assert control.wrong_in(run_of("vexfs", mount={"remount.read_only_and_back": Verdict.PASSED}), settings) is None


def test_what_fails_on_both_is_told_of_each_check_and_all_are_counted() -> None:
    own = run_of("vexfs", mount=dict.fromkeys(("a.one", "a.two", "a.three", "a.four"), Verdict.FAILED))
    there = {"a.one": Verdict.FAILED, "a.two": Verdict.PASSED, "a.three": Verdict.SKIPPED}
    seen = run_of("ext4", mount=there)
    assert control.advice(own, seen) == {"mount/a.one": "also fails on ext4"}
    assert control.summary(own, seen) == "of 3 checks that went wrong, on ext4: 1 passed, 1 skipped, 1 failed too"


def test_advice_comes_before_that_of_the_check() -> None:
    stage = Stage(
        "mount", checks=(Check("a.one", Verdict.FAILED, 0.1, advice="slow"), Check("a.two", Verdict.PASSED, 0))
    )
    advised = replan.with_advice(stage, {"mount/a.one": "also fails on ext4", "errors/a.two": "not of this stage"})
    assert [check.advice for check in advised.checks] == ["also fails on ext4; slow", ""]
