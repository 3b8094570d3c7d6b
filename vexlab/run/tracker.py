"""What an execution of a playbook has shown so far, and one pure function from (state, event) to the next state.

Nothing is done here: whoever consumes the queue of events does what a new state asks for. Whatever state a stage is in,
no end is dropped: it is charged to the stage that it came in, or after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vexlab.errors import VexlabError
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.results.model import DIED, Verdict
from vexlab.run.events import (
    BUILD,
    CHECKPOINT,
    IMAGE,
    JUDGE,
    STAGE,
    Clock,
    Event,
    GuestReady,
    Interruption,
    LateReport,
    PlaybookEnded,
    RunEnded,
    TaskEnded,
    TaskRetried,
    TaskStarted,
    WatchClosed,
)

AFTER = "after its checks: "
BEFORE = "before it began: "
PREPARATIONS = {"vexlab_image": "image", "vexlab_guest": "guest"}  # the roles that come before the stages
COULD_NOT_BUILD = {  # by what a builder tells: what to do about it
    "host_problem": "mend that, or build in the guest: --builder guest",
    "guest_problem": "give the guest more memory (--memory), or build on this machine: --builder sandbox",
}

End = GuestFailure | MachineProblem | Interruption


@dataclass(frozen=True)
class PlannedStage:
    """A stage that the playbook is to run; `deadline` in seconds, `judged`: its checks are to run."""

    name: str
    deadline: float = float("inf")
    has_role: bool = True
    judged: bool = True


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
    """What an execution has shown.

    `planned`: its stages. `preparing`: image or guest, while that goes on; `prepared_anew`: something of it changed.
    `guest_is_new`: nothing was done on the guest before. `watched`: what happens to the guest counts. `stages`: those
    that began, in their order. `end`: what came before the playbook's own end, if anything did; `charged` is the stage
    that it came in, or `after` whose checks it came, and empty when no stage had begun. `failure`: the first task that
    failed. `late`: what the kernel told of after the last checks. `build`, `image`: what their roles told;
    `checkpoint`: the directory in which the guest was saved.
    """

    planned: tuple[PlannedStage, ...] = ()
    preparing: str = ""
    prepared_anew: bool = False
    guest_is_new: bool = False
    watched: bool = False
    stages: Mapping[str, StageProgress] = field(default_factory=dict)
    end: End | None = None
    charged: str = ""
    after: bool = False
    failure: TaskEnded | None = None
    late: LateReport | None = None
    build: Mapping[str, Any] = field(default_factory=dict)
    image: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""

    @property
    def current(self) -> StageProgress | None:
        """The stage that began last."""
        return next(reversed(list(self.stages.values())), None)

    @property
    def open(self) -> StageProgress | None:
        """The stage that goes on."""
        return self.current if self.current is not None and self.current.ended is None else None

    @property
    def death(self) -> GuestFailure | None:
        """The death of the guest, if it died."""
        return self.end if isinstance(self.end, GuestFailure) else None

    @property
    def machine_problem(self) -> MachineProblem | None:
        """What the machine failed with, if that is what ended the execution."""
        return self.end if isinstance(self.end, MachineProblem) else None

    @property
    def is_whole(self) -> bool:
        """Whether each stage of the plan has ended."""
        return self.open is None and all(stage.name in self.stages for stage in self.planned)

    @property
    def began(self) -> bool:
        """Whether it came to a stage, or a guest that was up already died before: of a module that it had in it."""
        return bool(self.stages) or (self.death is not None and not self.guest_is_new)

    @property
    def victim(self) -> str:
        """The stage that the guest's death is charged to: before any began, the one that was to come first."""
        return self.charged or (self.planned[0].name if self.planned else "")


def advance(state: State, event: Event) -> State:
    """Return the state after an event.

    Raises VexlabError for a playbook that runs other stages than planned, and ValueError for a death whose verdict is
    none of a death.
    """
    match event:
        case TaskStarted():
            state = _task_started(state, event)
        case TaskEnded():
            state = _task_ended(state, event)
        case GuestReady():
            state = replace(_with_preparation(state, ""), watched=True)
        case Clock(at):
            state = _at(state, at)
        case GuestFailure() | MachineProblem() | Interruption():
            state = _with_end(state, event)
        case LateReport():
            state = replace(state, late=event)
        case WatchClosed():
            state = _without_watch(state)
        case RunEnded(at):
            state = _with_stage(state, ended=at)
        case PlaybookEnded() | TaskRetried():
            pass  # whether it succeeded is told by its tasks, when they end
    return state


def explained(state: State, end: End) -> State:
    """Return the state with more words for the end that it has, such as its place in the source."""
    return replace(state, end=end)


def spoils(state: State, name: str) -> tuple[Verdict, str] | None:
    """Return verdict and reason that the end gives to a stage; None when it leaves the stage as it was.

    What the machine or the person ended leaves no verdict on a stage that was going on, and takes none from a stage
    that had ended.
    """
    end = state.end
    if end is None or name != (state.victim if isinstance(end, GuestFailure) else state.charged):
        return None
    if isinstance(end, GuestFailure):
        return end.verdict, f"{AFTER if state.after else ''}{'' if state.charged else BEFORE}{end.reason}"
    return None if state.after else (Verdict.NOT_RUN, end.reason)


def _task_started(state: State, event: TaskStarted) -> State:
    if event.role in PREPARATIONS and not state.stages:
        state = _with_preparation(state, PREPARATIONS[event.role])
    if event.action == STAGE and state.end is None:  # it begins now: what keeps it from being announced is its own
        state = _with_preparation(state, "")
        following = next((stage for stage in state.planned if stage.name not in state.stages), None)
        if following is None:
            raise VexlabError("the playbook began a stage that was not asked for")
        began = StageProgress(following.name, event.at, following.judged)
        return replace(state, stages={**state.stages, following.name: began})
    if event.action == JUDGE and state.open is not None:
        has_role = next(stage.has_role for stage in state.planned if stage.name == state.open.name)
        return _with_stage(state, role_ok=True if has_role else None)
    return state


def _task_ended(state: State, event: TaskEnded) -> State:
    current, judges = state.open, event.action == JUDGE
    if event.announced and current is not None and event.announced != current.name:
        raise VexlabError(f"the playbook began stage {event.announced} where {current.name} was next")
    build = event.facts.get(BUILD, {})
    for problem, hint in COULD_NOT_BUILD.items():
        if problem in build:
            return _with_end(state, MachineProblem(str(build[problem]), hint))
    if event.went_wrong:
        state = replace(state, failure=state.failure or event)
        return _with_stage(state, **({"checks_ok": event.exit_code == 0} if judges else {"role_ok": False}))
    if judges:  # the task that judges may go on after failed checks
        checks_ok = None if event.outcome == "skipped" else event.exit_code == 0
        return _with_stage(state, checks_ok=checks_ok, ended=event.at)
    if event.changed:
        state = _with_stage(replace(state, prepared_anew=state.prepared_anew or bool(state.preparing)), changed=True)
    if IMAGE in event.facts:
        state = replace(state, image=event.facts[IMAGE])
    if CHECKPOINT in event.facts:
        state = replace(state, checkpoint=event.facts[CHECKPOINT])
    return replace(state, build=build) if "module" in build else state


def _at(state: State, at: float) -> State:
    """Return the state as it is at a time: a stage past its deadline hangs."""
    current = state.open
    if current is None or state.end is not None:
        return state
    deadline = next(stage.deadline for stage in state.planned if stage.name == current.name)
    if at - current.began <= deadline:
        return state
    return _with_end(
        state, GuestFailure(Verdict.HUNG, f"the stage did not end within its deadline of {deadline:.0f} s")
    )


def _without_watch(state: State) -> State:
    """Return the state when nobody tells of the guest any more: one that can't be reached and didn't die is lost."""
    failure = state.failure
    if failure is None or failure.outcome != "unreachable" or state.current is None:
        return state
    return _with_end(state, GuestFailure(Verdict.LOST, f"the connection to the guest was lost: {failure.message}"))


def _with_preparation(state: State, part: str) -> State:
    """Return the state with another part of the preparation, or none, in place of the one that goes on."""
    if part == state.preparing:
        return state
    is_new = state.guest_is_new or (state.preparing == "guest" and state.prepared_anew)
    return replace(state, preparing=part, prepared_anew=False, guest_is_new=is_new)


def _with_stage(state: State, **changes: Any) -> State:
    """Return the state with what was seen of the stage that goes on; as it was when none does."""
    stage = state.open
    return state if stage is None else replace(state, stages={**state.stages, stage.name: replace(stage, **changes)})


def _with_end(state: State, end: End) -> State:
    """Return the state with an end.

    Of several ends the first one counts, since it explains the others: a guest whose disk is gone panics later. But who
    interrupts a run, or fills the guest's own disk, must not hide a death.
    """
    if isinstance(end, GuestFailure) and end.verdict not in DIED:
        raise ValueError(f"a guest can't die as {end.verdict}")
    if state.end is not None and not _would_hide(state.end, end):
        return state
    stage = state.current
    return replace(
        state, end=end, charged=stage.name if stage else "", after=stage is not None and stage.ended is not None
    )


def _would_hide(first: End, end: End) -> bool:
    """Whether the first end says nothing of this one, which is of the module."""
    if not isinstance(end, GuestFailure):
        return False
    if isinstance(first, MachineProblem):
        return end.verdict is Verdict.PANICKED and not first.explains_panic
    return isinstance(first, Interruption)
