"""The list of checks: read from the sources, it is what pytest would run, and says what a target lacks for each."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.config import check_list, stage_list, target
from vexlab.config.check_list import CheckSpec
from vexlab.config.installation import contract_defaults, root
from vexlab.run import selection

STAGES = root() / "tests" / "stages"
TOY: dict[str, Any] = {"vexlab_target_name": "toyfs", "vexlab_capabilities": ["read-write"], "vexlab_module_name": "t"}


def contract(**changes: object) -> dict[str, Any]:
    """The contract of a target that can write, but for what is said."""
    return contract_defaults() | TOY | {f"vexlab_{name}": value for name, value in changes.items()}


def check(full_name: str) -> CheckSpec:
    """The check of that name."""
    return next(each for each in check_list.checks() if each.full_name == full_name)


@pytest.mark.parametrize("stage", ["mount", "errors"])
def test_list_is_what_pytest_collects(stage: str) -> None:
    """A check that the list didn't have could not be chosen; one that only the list has would never run."""
    bundled = target.load_target(root() / contract_defaults()["vexlab_target_file"])
    planned = selection.planned(stage, contract_defaults() | bundled)
    functions = dict.fromkeys(name.partition("[")[0] for name in planned)
    assert sorted(functions) == sorted(each.name for each in check_list.of_stage(stage))


def test_every_check_has_a_promise() -> None:
    """The first line of the docstring; a list of bare names would be no help to choose by."""
    assert check("mount/rename.answer_is_right").promise.startswith("A directory in its own child")
    assert [each.full_name for each in check_list.checks() if not each.promise] == []


def test_promise_is_a_sentence_of_its_own() -> None:
    """It stands alone in messages and lists, so it can't go on from a name, a check before it, or a word left out."""
    goes_on = ("And", "Also", "But", "Or", "Such", "The same", "It ", "Its ", "Where it")
    told = [f"{each.full_name}: {each.promise}" for each in check_list.checks() if each.promise.startswith(goes_on)]
    assert told == []


def test_marks_of_module_and_function_are_both_read() -> None:
    assert check("mount/rename.parent_follows").requires == ("read-write", "directories", "rename")
    assert check("mount/links.loop_of_symbolic_links_is_told").requires == ("read-write", "symbolic-links")
    assert check("errors/unload_afterwards.module_unloads_loads_and_mounts").needs == ("module",)
    assert check("mount/synchronous.synchronous_write_is_on_the_device").needs == ("device",)


def test_each_stage_has_the_checks_of_every_stage() -> None:
    for spec in stage_list.stages():
        assert [each.name for each in check_list.of_stage(spec.name) if each.of_every_stage] == [
            "daemon.it_runs",
            "kernel.log_has_no_bug",
            "kernel.taint_is_explained",
        ]


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("mount/rename.parent_follows", {}, "target toyfs does not claim: directories, rename"),
        ("mount/rename.parent_follows", {"capabilities": ["read-write", "directories", "rename"]}, ""),
        ("errors/module.parameter_that_nobody_knows", {}, ""),
        ("errors/module.parameter_that_nobody_knows", {"module_source": "kernel"}, "comes with the kernel"),
        ("mkfs/refusals.device_that_is_too_small", {"device_kind": "none"}, "target toyfs has no stage mkfs"),
        ("mount/kernel.log_has_no_bug", {}, ""),
    ],
)
def test_what_a_target_lacks_for_a_check(name: str, changes: dict[str, object], why: str) -> None:
    found = check(name).lacks(contract(**changes))
    assert why in found
    assert bool(why) == bool(found)


def test_what_is_tried_on_a_damaged_device_needs_a_device() -> None:
    """The fixture that damages one skips such a check as well, which a list of checks could not see."""
    of_memory = contract(device_kind="none", capabilities=["read-write", "remount"])
    left = {each.name.partition(".")[0] for each in check_list.of_stage("errors") if not each.lacks(of_memory)}
    assert left == {"module", "mounts", "unload_afterwards", "kernel"}
