"""What is still to be run after something went wrong, and on which guest. Plans only; nothing is started here."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from vexlab.config import check_list, debug_kinds, stage_list
from vexlab.config.stage_list import StageSpec
from vexlab.history.statistics import interval
from vexlab.results.causes import causes
from vexlab.results.judging import merge_stages
from vexlab.results.model import DIED, WRONG, Check, Reruns, Run, Stage, Verdict
from vexlab.run.tracker import PlannedStage

ENDED = {Verdict.LOST: "was lost", Verdict.NOT_RUN: "was not run"}
"""How a sentence says of a stage that it came to this; the other verdicts say so by themselves."""
NOT_ALL = "not all of its checks were run, since the guest that was to judge them did not come to that"


@dataclass(frozen=True)
class Choice:
    """Which checks of a stage: only these, or all but those.

    What is left out has the name of a check, of a function that may be several, or of a module of checks and a dot.
    `only` has names as a person gives them (vexlab/config/check_names.py).
    """

    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What one execution of a playbook is to do.

    `judged` are the stages whose tests run, `applied` those that are only brought about on a guest that is `fresh`: a
    pristine one, in place of the one before. `apply` is False when no role is to change anything, `clean` has
    everything built anew, `fail_fast` ends it at the first stage in which a check failed, `choices` are of the checks
    of a stage, `leaves` has the guest left as the first check that failed has it. `checkpoint` names what is brought
    about, for the guest to be saved under; `goes_on`: it is there already, in the guest that was saved under that name.
    Of the `shared` stages, other guests judge a part meanwhile.
    """

    playbook: str
    judged: tuple[str, ...]
    applied: tuple[str, ...] = ()
    apply: bool = True
    clean: bool = False
    fresh: bool = False
    fail_fast: bool = False
    choices: Mapping[str, Choice] = field(default_factory=dict)
    checkpoint: str = ""
    goes_on: bool = False
    leaves: bool = False
    shared: frozenset[str] = frozenset()


def planned_stages(plan: Plan, contract: Mapping[str, Any]) -> tuple[PlannedStage, ...]:
    """The stages of a plan that the playbook begins, in the order of the list: those that the target has."""
    slower = debug_kinds.slower(contract)
    return tuple(
        PlannedStage(spec.name, spec.deadline * slower, spec.role, spec.name in plan.judged)
        for spec in stage_list.stages()
        if spec.name in (*plan.judged, *plan.applied) and not spec.why_not(contract)
    )


@dataclass(frozen=True)
class ExecutionResult:
    """What one execution showed: the stages that it began, and whether its guest is of no further use."""

    stages: Mapping[str, Stage]
    guest_died: bool


def merged(seen: Sequence[ExecutionResult]) -> dict[str, Stage]:
    """Each stage that began, as all executions together showed it."""
    names = dict.fromkeys(name for part in seen for name in part.stages)
    return {name: merge_stages([part.stages[name] for part in seen if name in part.stages]) for name in names}


def next_plan(
    specs: Sequence[StageSpec], selected: Iterable[str], seen: Sequence[ExecutionResult],
    chosen: Mapping[str, Choice] | None = None, incomplete: Collection[str] = (),
) -> Plan | None:  # fmt: skip
    """What can still be run: stages that nothing holds back, and what a dead guest left of its stage.

    `chosen`: of these stages, only some checks were asked for. `incomplete`: of these, some were to be judged
    elsewhere, and were not.
    """
    known, choices = merged(seen), dict(chosen or {})
    left = [name for name in incomplete if name in known and known[name].achieved is not False]
    open_ = [name for name in selected if (name not in known or name in left) and not blockers(specs, name, known)]
    for name in left:
        choices[name] = _also(choices.get(name), _judged(known[name]))
    died = next((name for name, stage in seen[-1].stages.items() if stage.verdict in DIED), None)
    if died is not None and (choice := _rest(seen, died)):
        open_ = [died, *open_]
        choices[died] = _also((chosen or {}).get(died), choice.leave_out)
    if not open_:
        return None
    judged = tuple(spec.name for spec in specs if spec.name in open_)
    choices = {name: choices[name] for name in judged if name in choices}
    if not seen[-1].guest_died:
        return Plan("stages", judged, choices=choices)
    return Plan("up", judged, applied=needed(specs, judged), fresh=True, choices=choices)


def rerun_plan(specs: Sequence[StageSpec], stage: str, check: str, *, fresh: bool) -> Plan:
    """One check alone, on a pristine guest or on the one that is there."""
    choices = {stage: Choice(only=(check,))}
    if not fresh:
        return Plan("stages", (stage,), apply=False, choices=choices)
    return Plan("up", (stage,), applied=needed(specs, (stage,)), fresh=True, choices=choices)


def from_checkpoint(specs: Sequence[StageSpec], plan: Plan, checkpoint: str) -> Plan | None:
    """The same on a guest that goes on from a checkpoint, where it has all that the plan stands on; None elsewhere."""
    if not checkpoint or not plan.fresh or not set(plan.judged).issubset(since_checkpoint(specs)):
        return None
    return dataclasses.replace(plan, applied=(), apply=False, checkpoint=checkpoint, goes_on=True)


def since_checkpoint(specs: Sequence[StageSpec]) -> list[str]:
    """The stage at which the guest is saved, and those after it; none where it isn't saved at all."""
    at = next((number for number, spec in enumerate(specs) if spec.checkpoint), len(specs))
    return [spec.name for spec in specs[at:]]


def saved_at(specs: Sequence[StageSpec], names: Collection[str]) -> str:
    """The stage at which a guest is saved that these stages are run on; empty where it isn't."""
    return next((name for name in since_checkpoint(specs) if name in names), "")


def checkpoint_name(specs: Sequence[StageSpec], names: Collection[str], brought_about: str) -> str:
    """The name under which a guest is saved that these stages are run on; `brought_about` is that of all stages.

    Without the stage that mounts the filesystem it isn't mounted there, which is no guest to judge that stage on.
    """
    if saved_at(specs, names) in ("", *since_checkpoint(specs)[:1]):
        return brought_about
    return hashlib.sha256(f"{brought_about} without what is mounted".encode()).hexdigest()


def needed(specs: Sequence[StageSpec], names: Iterable[str]) -> tuple[str, ...]:
    """The other stages that these need, and what those need, in the order of the list."""
    found, wanted = set(names), set(names)
    for spec in reversed(specs):  # what is needed comes before
        if spec.name in found:
            found |= set(spec.needs)
    return tuple(spec.name for spec in specs if spec.name in found - wanted)


def blockers(specs: Sequence[StageSpec], name: str, known: Mapping[str, Stage]) -> list[str]:
    """The stages that this one needs and whose result isn't there; a check of theirs that failed is no reason."""
    return [need for need in needed(specs, [name]) if need in known and known[need].achieved is False]


def why_not_run(specs: Sequence[StageSpec], name: str, known: Mapping[str, Stage], otherwise: str) -> str:
    """Why a stage was not run although others were, after one that went wrong."""
    verdicts = {need: known[need].verdict for need in blockers(specs, name, known)}
    words = [f"stage {need} {ENDED.get(verdict, verdict)}" for need, verdict in verdicts.items()]
    result = "its result" if len(words) == 1 else "their results"
    return f"{' and '.join(words)}, and it needs {result}" if words else otherwise


def first_failed_check(run: Run) -> tuple[Stage, Check] | None:
    """The check of the first cause, of the first stage in which a check went wrong; None when there is none."""
    found = ((stage, cause.lead) for stage in run.stages for cause in causes(stage.checks))
    return next(((stage, check) for stage, check in found if check.verdict in WRONG), None)


def with_reruns(stage: Stage, reruns: Reruns | None) -> Stage:
    """The stage with what the reruns of its check came to in its reason."""
    if reruns is None or reruns.check.partition("/")[0] != stage.name:
        return stage
    word = "deterministic" if reruns.failed == reruns.of else "flaky"
    low, high = (f"{100 * rate:.0f}" for rate in interval(reruns.failed, reruns.of))
    told = f"{word} ({reruns.failed} of {reruns.of}, a rate of {low} to {high} % with 95 % confidence)"
    return replace(stage, reason=f"{stage.reason}; {told}")


def never_failed(times: int, seconds: float) -> str:
    """What it says of a run that nothing went wrong in however many times."""
    rate = 100 * interval(0, times)[1]
    often = f"all has passed {times} times within {seconds:.0f} s"
    return f"{often}; what still fails does so in less than {rate:.0f} % of runs, with 95 % confidence"


def without_all(stage: Stage) -> Stage:
    """The stage when some of its checks were judged by nobody: it has not passed."""
    if stage.verdict not in (Verdict.PASSED, Verdict.SKIPPED):
        return stage
    return replace(stage, verdict=Verdict.NOT_RUN, reason=NOT_ALL)


def with_advice(stage: Stage, advice: Mapping[str, str]) -> Stage:
    """The stage with this advice, by stage/check, beside what its checks gave themselves."""

    def advised(check: Check) -> Check:
        words = [text for text in (advice.get(f"{stage.name}/{check.name}"), check.advice) if text]
        return replace(check, advice="; ".join(words))

    return replace(stage, checks=tuple(map(advised, stage.checks))) if advice else stage


def fail_last(
    stages: Sequence[Stage], selected: Sequence[str], reason: str, verdict: Verdict = Verdict.FAILED
) -> list[Stage]:  # fmt: skip
    """The stages with the last one that was judged failed for this reason, unless one of them went wrong already.

    `verdict`: another one than failed, which is none of the filesystem.
    """
    last = next((stage for stage in reversed(stages) if stage.name in selected), None)
    if last is None or last.verdict is not Verdict.PASSED:
        return list(stages)
    return [replace(stage, verdict=verdict, reason=reason) if stage is last else stage for stage in stages]


def _rest(seen: Sequence[ExecutionResult], name: str) -> Choice | None:
    """What to leave out of a stage whose guest died, to run the rest of it; None when there is none, or no sense in it.

    Left out are the checks that are known, those during which a guest died, and the rest of a module of checks of which
    two, one after the other, took a guest down: they share what did it.
    """
    stage = merged(seen)[name]
    deaths = [check.name for check in stage.checks if check.verdict in DIED]
    times = sum(part.stages[name].verdict in DIED for part in seen if name in part.stages)
    if not deaths or times > len(deaths):
        return None
    out = {module for module in map(_module, deaths) if _is_deadly(module, stage.checks)}
    not_run = [check.name for check in stage.checks if check.verdict is Verdict.NOT_RUN]
    left = [name for name in not_run if _module(name) not in out]
    return Choice(leave_out=(*_judged(stage), *sorted(out))) if left else None


def _judged(stage: Stage) -> tuple[str, ...]:
    """The checks of a stage that need not be run again.

    Those that judge what the others left are not among them, as long as they take no guest down: each guest ends so.
    """
    closing = {check.name for check in check_list.of_stage(stage.name) if check.closes}
    return tuple(
        check.name
        for check in stage.checks
        if check.verdict is not Verdict.NOT_RUN
        and (check.verdict in DIED or check.name.partition("[")[0] not in closing)
    )


def _also(choice: Choice | None, leave_out: Iterable[str]) -> Choice:
    """The choice with more that is left out."""
    known = choice or Choice()
    return dataclasses.replace(known, leave_out=tuple(dict.fromkeys((*known.leave_out, *leave_out))))


def _module(check: str) -> str:
    """The module of a check, as a choice names it."""
    return check.partition(".")[0] + "."


def _is_deadly(module: str, checks: Sequence[Check]) -> bool:
    """Whether the last two checks of a module that ran have each taken a guest down."""
    ran = [
        check.verdict
        for check in checks
        if _module(check.name) == module and check.verdict not in (Verdict.NOT_RUN, Verdict.SKIPPED)
    ]
    return len(ran) > 1 and all(verdict in DIED for verdict in ran[-2:])
