"""THE list of stages, as playbooks/vars/stages.yml has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from vexlab.config.installation import read_yaml, root
from vexlab.errors import UsageProblem


@dataclass(frozen=True)
class StageSpec:
    """One entry of `playbooks/vars/stages.yml`.

    `role`: whether a role brings the stage about. `up`: whether `vexlab up` runs it. `needs`: the stages without which
    it can't run. `deadline` in seconds. `not_for`: a `variable` of the contract, and the `reasons` for which a target
    with one of these values of it has no such stage; empty for a stage that every target has. `checkpoint`: whether the
    guest is saved when the stage is brought about. `apart`: any two of its checks can be judged in different guests.
    `closing`: its modules of checks that judge what the others left. `usual`: seconds that one of its test functions
    takes, where no run has told.
    """

    name: str
    title: str
    role: bool
    up: bool
    needs: tuple[str, ...]
    deadline: int
    not_for: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: bool = False
    apart: bool = False
    closing: tuple[str, ...] = ()
    usual: float = 0.5

    def why_not(self, contract: Mapping[str, Any]) -> str:
        """Why a target of this contract has no such stage; empty when it has."""
        if not self.not_for:
            return ""
        return str(self.not_for["reasons"].get(contract[self.not_for["variable"]], ""))


@cache
def stages() -> tuple[StageSpec, ...]:
    """THE list of stages, in order."""
    document = read_yaml(root() / "playbooks" / "vars" / "stages.yml")
    return tuple(stage_spec(entry) for entry in document["stages"])


def position(name: str) -> int:
    """Where a stage stands in THE list, to sort by; what is no stage comes last."""
    names = [spec.name for spec in stages()]
    return names.index(name) if name in names else len(names)


def stage_spec(entry: dict[str, Any]) -> StageSpec:
    """A stage from its entry in the list; raises UsageProblem for a deadline that would end it before it begins."""
    spec = StageSpec(**entry | {"needs": tuple(entry["needs"]), "closing": tuple(entry.get("closing", ()))})
    if type(spec.deadline) is not int or spec.deadline < 1:
        raise UsageProblem(
            f"the deadline of stage {spec.name} is {spec.deadline!r}",
            "it must be a whole number of seconds, 1 or more: playbooks/vars/stages.yml",
        )
    return spec


def spec_of(name: str) -> StageSpec:
    """The entry of a stage; raises KeyError for a name that no stage has."""
    return {spec.name: spec for spec in stages()}[name]


def stages_for(chosen: Sequence[str]) -> list[str]:
    """Names of the stages that judging these takes: they and all that they need, in order; all when none is chosen."""
    names = [spec.name for spec in stages()]
    if unknown := [name for name in chosen if name not in names]:
        raise UsageProblem(f"unknown stage {unknown[0]!r}", f"known: {', '.join(names)}")
    wanted = set(chosen or names)
    for spec in reversed(stages()):  # what a stage needs comes before it
        if spec.name in wanted:
            wanted |= set(spec.needs)
    return [name for name in names if name in wanted]


def applicable(names: Sequence[str], contract: Mapping[str, Any]) -> list[str]:
    """Those of these stages that a target of this contract has; raises UsageProblem when it has none of them."""
    reasons = {spec.name: spec.why_not(contract) for spec in stages()}
    kept = [name for name in names if not reasons[name]]
    if not kept:
        name = names[0]
        raise UsageProblem(
            f"target {contract['vexlab_target_name']} has no stage {name}: {reasons[name]}", "choose another stage"
        )
    return kept
