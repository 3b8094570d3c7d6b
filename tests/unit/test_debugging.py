"""How a guest is brought to a check that a person debugs."""

from __future__ import annotations

import pytest

from vexlab.config import stage_list
from vexlab.config.installation import contract_defaults
from vexlab.run import debugging, replan
from vexlab.run.replan import Plan


@pytest.mark.parametrize("stage", ["mount", "stress", "errors"])
def test_what_comes_after_the_checkpoint_begins_there(stage: str) -> None:
    assert debugging.begins_at_checkpoint(stage)


@pytest.mark.parametrize("stage", ["structure", "build", "load", "mkfs"])
def test_what_comes_before_it_does_not(stage: str) -> None:
    assert not debugging.begins_at_checkpoint(stage)


@pytest.mark.parametrize(
    ("stage", "applied"),
    [
        ("structure", ("structure",)),
        ("load", ("structure", "build", "load")),
        ("mount", ("structure", "build", "load", "mkfs", "mount")),
        ("errors", ("structure", "build", "load", "mkfs")),
    ],
)
def test_the_way_brings_about_what_the_stage_stands_on_and_judges_nothing(stage: str, applied: tuple[str, ...]) -> None:
    assert debugging.way_to(stage, "key") == Plan("up", (), applied, fresh=True, checkpoint="key")


def test_no_stage_of_the_way_is_judged() -> None:
    for spec in stage_list.stages():
        way = debugging.way_to(spec.name, "")
        assert not any(planned.judged for planned in replan.planned_stages(way, contract_defaults()))
