"""Which stages a target has follows from what it is: without a source nothing is built, say."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.config import stage_list
from vexlab.config.installation import contract_defaults
from vexlab.config.target import schema
from vexlab.errors import UsageProblem

ALL = stage_list.stages_for(())


def contract(**changes: str) -> dict[str, Any]:
    """The contract of a target of another kind."""
    return contract_defaults() | {"vexlab_target_name": "toyfs"} | {f"vexlab_{name}": changes[name] for name in changes}


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({}, []),
        ({"device_kind": "none"}, ["mkfs"]),
        ({"device_kind": "directory"}, ["mkfs"]),
        ({"module_source": "kernel"}, ["structure", "build"]),
        ({"module_source": "kernel", "device_kind": "none"}, ["structure", "build", "mkfs"]),
    ],
)
def test_stages_that_a_target_has(changes: dict[str, str], lacks: list[str]) -> None:
    of_target = contract(**changes)
    assert stage_list.applicable(ALL, of_target) == [name for name in ALL if name not in lacks]
    assert [spec.name for spec in stage_list.stages() if spec.why_not(of_target)] == lacks


def test_stage_that_a_target_does_not_have_is_refused_with_the_reason() -> None:
    """To run nothing at all would be no verdict."""
    with pytest.raises(UsageProblem, match="target toyfs has no stage mkfs: it is mounted without a device"):
        stage_list.applicable(["mkfs"], contract(device_kind="none"))


def test_each_value_that_takes_a_stage_is_one_that_a_target_can_have() -> None:
    """A misspelt value would keep a stage that can't be."""
    fields = schema()["properties"]
    for spec in stage_list.stages():
        if spec.not_for:
            assert set(spec.not_for["reasons"]) < set(fields[spec.not_for["variable"]]["enum"])
