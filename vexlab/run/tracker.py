"""What an execution of a playbook has shown so far, and one pure function from (state, event) to the next state.

Nothing is done here: who follows the playbook, watches the guest and the machine, or hears Ctrl-C, makes the events.
Whatever state a stage is in, no end is dropped: it is charged to the stage that it came in, or after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.results.model import DIED, Verdict

AFTER = "after its checks: "

BEFORE = "before it began: "


@dataclass(frozen=True)
class StageBegan:
    """A stage begins; `at` is of the monotonic clock, `judged` whether its checks are to run."""

    name: str
    at: float
    judged: bool = True


@dataclass(frozen=True)
class RoleEnded:
    """The role of the stage that goes on ended; `ok` is None for a stage that has no role."""

    ok: bool | None


@dataclass(frozen=True)
class ChecksEnded:
    """The checks of the stage that goes on ended; `ok` is what pytest said."""

    ok: bool


@dataclass(frozen=True)
class Changed:
    """A task of the stage that goes on changed something."""


@dataclass(frozen=True)
class StageEnded:
    """The stage that goes on ended; `at` is of the monotonic clock."""

    at: float


@dataclass(frozen=True)
class Interruption:
    """The person ended the execution."""

    reason: str = "interrupted"


End = GuestFailure | MachineProblem | Interruption

Event = StageBegan | RoleEnded | ChecksEnded | Changed | StageEnded | End


@dataclass(frozen=True)
class StageProgress:
    """What was seen of a stage so far; times are of the monotonic clock."""

    name: str
    began: float
    judged: bool = True
    role_ok: bool | None = None
    checks_ok: bool | None = None
    ended: float | None = None
    changed: bool = False


@dataclass(frozen=True)
class State:
    """What an execution has shown: its stages in their order, and the end that came before its own, if one did.

    `charged` is the stage that the end came in, or `after` whose checks it came; empty when no stage had begun.
    """

    stages: Mapping[str, StageProgress] = field(default_factory=dict)
    end: End | None = None
    charged: str = ""
    after: bool = False

    @property
    def current(self) -> StageProgress | None:
        """The stage that began last."""
        return next(reversed(list(self.stages.values())), None)

    @property
    def death(self) -> GuestFailure | None:
        """The death of the guest, if it died."""
        return self.end if isinstance(self.end, GuestFailure) else None

    @property
    def machine_problem(self) -> MachineProblem | None:
        """What the machine failed with, if that is what ended the execution."""
        return self.end if isinstance(self.end, MachineProblem) else None


def advance(state: State, event: Event) -> State:
    """The state after an event; a ValueError for a death whose verdict is none of a death.

    Of several ends the first one counts, since it explains the others: a guest whose disk is gone panics later. But an
    interruption explains no death, and who interrupts a run must not hide one.
    """
    match event:
        case StageBegan(name, at, judged):
            return (
                state if state.end else replace(state, stages={**state.stages, name: StageProgress(name, at, judged)})
            )
        case GuestFailure() | MachineProblem() | Interruption():
            return _end(state, event)
    stage = state.current
    if stage is None or stage.ended is not None:
        return state
    match event:
        case RoleEnded(ok):
            stage = replace(stage, role_ok=ok)
        case ChecksEnded(ok):
            stage = replace(stage, checks_ok=ok)
        case Changed():
            stage = replace(stage, changed=True)
        case StageEnded(at):
            stage = replace(stage, ended=at)
    return replace(state, stages={**state.stages, stage.name: stage})


def _end(state: State, end: End) -> State:
    if isinstance(end, GuestFailure) and end.verdict not in DIED:
        raise ValueError(f"a guest can't die as {end.verdict}")
    if state.end is not None and not (isinstance(state.end, Interruption) and isinstance(end, GuestFailure)):
        return state
    stage = state.current
    return replace(
        state, end=end, charged=stage.name if stage else "", after=stage is not None and stage.ended is not None
    )


def explained(state: State, end: End) -> State:
    """The state with more words for the end that it has, such as its place in the source."""
    return replace(state, end=end)


def spoils(state: State, name: str, first: str) -> tuple[Verdict, str] | None:
    """Verdict and reason that the end of the execution gives to a stage; None when it leaves the stage as it was.

    `first` is the stage that was to come first: a death before any began is told of it. What the machine or the person
    ended leaves no verdict on a stage that was going on, and takes none from a stage that had ended.
    """
    end = state.end
    if end is None or name != (state.charged or (first if isinstance(end, GuestFailure) else "")):
        return None
    if isinstance(end, GuestFailure):
        return end.verdict, f"{'' if not state.after else AFTER}{BEFORE if not state.charged else ''}{end.reason}"
    return None if state.after else (Verdict.NOT_RUN, end.reason)
