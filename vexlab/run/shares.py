"""How the checks that come after the checkpoint are divided among guests that work at once.

Plans only; nothing is started here. Who gets what depends on what is recorded of earlier runs, and never on who is
faster this time.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vexlab.config import check_list, stage_list
from vexlab.config.check_list import CheckSpec
from vexlab.config.settings import Settings
from vexlab.run import replan
from vexlab.run.replan import Choice

START_SECONDS = 8.0  # until a guest that goes on from a saved one has begun its first stage
STAGE_SECONDS = 2.0  # of a stage beside its checks: to begin it, to make what they share, to see what they left
SKIPPED_SECONDS = 0.02  # of a test function of which no check ran, while others of its stage did

Share = Mapping[str, Choice]
"""What one guest judges: which checks of which stages."""


@dataclass(frozen=True)
class Unit:
    """Checks that stay together in one guest: test functions of a stage, and the seconds that they take."""

    stage: str
    names: tuple[str, ...]
    seconds: float


@dataclass
class Load:
    """What one guest is to judge; `seconds` is when it will be done with it, `stages` those that it pays for."""

    seconds: float
    stages: set[str]
    units: list[Unit] = field(default_factory=list)

    def with_unit(self, unit: Unit) -> float:
        """When it would be done with this unit as well."""
        return self.seconds + unit.seconds + (0.0 if unit.stage in self.stages else STAGE_SECONDS)

    def add(self, unit: Unit) -> None:
        """Take a unit."""
        self.seconds = self.with_unit(unit)
        self.stages.add(unit.stage)
        self.units.append(unit)


def planned(
    selected: Sequence[str], contract: Mapping[str, Any], recorded: Mapping[str, float], jobs: int
) -> tuple[Share, ...]:
    """What each of the guests judges of the selected stages since the checkpoint, the run's own guest first.

    Nothing where one guest does all. `recorded` are the seconds that checks took, by their full names.
    """
    stages = [name for name in replan.since_checkpoint(stage_list.stages()) if name in selected]
    if jobs == 1 or not stages:
        return ()
    together = [entry["check"] for entry in contract["vexlab_known_failures"] if not entry.get("sometimes")]
    whole = [unit for name in stages for unit in units(name, recorded, together)]
    loads = divide(whole, jobs, stages[0])
    return tuple(_share(load.units, whole) for load in loads) if len(loads) > 1 else ()


def with_one_seed(settings: Settings) -> Settings:
    """The settings with a seed that all guests have, where each would draw one of its own."""
    seed = settings.contract["vexlab_seed"] or secrets.randbelow(1 << 31) + 1
    return dataclasses.replace(settings, contract=settings.contract | {"vexlab_seed": seed})


def units(stage: str, recorded: Mapping[str, float], together: Collection[str] = ()) -> list[Unit]:
    """The checks of a stage that may be in different guests, in their order; not those that each guest ends with.

    `together`: names with a star, as stage/check, whose checks are held against each other: that none of them fails any
    more can only be told by who sees all.
    """
    spec = stage_list.spec_of(stage)
    checks = [check for check in check_list.of_stage(stage) if not check.closes]
    groups: dict[str, list[CheckSpec]] = {}
    for check in checks:
        groups.setdefault(check.name if spec.apart else check.module, []).append(check)
    for name in (name for name in together if "*" in name):
        first, *others = [key for key, group in groups.items() if any(_may_mean(name, each) for each in group)] or [""]
        for other in others:
            groups[first] += groups.pop(other)
    took = _seconds(stage, recorded)
    usual = SKIPPED_SECONDS if took else spec.usual
    return [
        Unit(stage, tuple(each.name for each in group), sum(took.get(each.name, usual) for each in group))
        for group in groups.values()
    ]


def divide(whole: Sequence[Unit], guests: int, at: str) -> list[Load]:
    """Divide units among guests so that all are done about the same time; the longest first, each where it ends first.

    The first guest is there already, with stage `at` begun, and judges some of that. A guest that would not help gets
    nothing, and is not among the loads.
    """
    loads = [Load(0.0, {at}), *(Load(START_SECONDS, set()) for _ in range(guests - 1))]
    begun = next(unit for unit in whole if unit.stage == at)
    loads[0].add(begun)
    for unit in sorted((unit for unit in whole if unit is not begun), key=lambda unit: -unit.seconds):
        min(loads, key=lambda load: load.with_unit(unit)).add(unit)
    return [load for load in loads if load.units]


def seconds(loads: Sequence[Load]) -> float:
    """When the last guest is done."""
    return max(load.seconds for load in loads)


def _share(own: Sequence[Unit], whole: Sequence[Unit]) -> Share:
    """What to leave out of each stage of a guest's units, in the order of the stages."""
    stages = [spec.name for spec in stage_list.stages() if any(unit.stage == spec.name for unit in own)]
    return {stage: Choice(leave_out=_others(stage, own, whole)) for stage in stages}


def _others(stage: str, own: Sequence[Unit], whole: Sequence[Unit]) -> tuple[str, ...]:
    """The checks of a stage that others judge: whole modules where they do so, else test functions."""
    mine = {name for unit in own if unit.stage == stage for name in unit.names}
    modules = {name.partition(".")[0] for name in mine}
    others = [name for unit in whole if unit.stage == stage for name in unit.names if name not in mine]
    short = (name if name.partition(".")[0] in modules else f"{name.partition('.')[0]}." for name in others)
    return tuple(dict.fromkeys(short))


def _seconds(stage: str, recorded: Mapping[str, float]) -> dict[str, float]:
    """The seconds that the test functions of a stage took, with all their parameters."""
    found: dict[str, float] = {}
    for full, took in recorded.items():
        of_stage, name = check_list.parts(full)
        if of_stage == stage:
            function = name.partition("[")[0]
            found[function] = found.get(function, 0.0) + took
    return found


def _may_mean(name: str, check: CheckSpec) -> bool:
    """Whether a name with a star can mean a check of this function; rather yes than no, by what is before the star."""
    before = name.partition("*")[0]
    return check.full_name.startswith(before) or before.startswith(check.full_name)
