"""What the tracker makes of the events of real runs, each of which ended in another way.

tests/faults/record_streams.py recorded them: `python -m tests.faults.record_streams` does so anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path

import pytest

from vexlab.config import stage_list
from vexlab.guest.failure import GuestFailure
from vexlab.results.model import Verdict
from vexlab.run import events, tracker
from vexlab.run.events import JUDGE, STAGE, Clock, Event, Interruption, TaskEnded, TaskStarted, WatchClosed
from vexlab.run.tracker import PlannedStage, State

STREAMS = Path(__file__).with_name("streams")
UP = ("structure", "build", "load", "mkfs", "mount")
SHORT_DEADLINE = 45  # seconds for stage load in the run that went past it


def stream(name: str) -> list[Event]:
    return list(events.read(STREAMS / f"{name}.jsonl"))


def replayed(recorded: Iterable[Event], stages: Sequence[str] = UP, *, deadline: float | None = None) -> State:
    """The last state; as the run knew its stages. `deadline`: that of stage load."""
    specs = [spec for spec in stage_list.stages() if spec.name in stages]
    planned = tuple(
        PlannedStage(spec.name, deadline if deadline and spec.name == "load" else spec.deadline, spec.role)
        for spec in specs
    )
    return reduce(tracker.advance, recorded, State(planned))


def given(state: State) -> dict[str, tuple[Verdict, str]]:
    """What the end of the run gives to each of its stages."""
    return {name: found for name in UP if (found := tracker.spoils(state, name)) is not None}


def endings(state: State) -> dict[str, tuple[bool | None, bool | None]]:
    """How role and checks of each stage that ended went."""
    return {name: (stage.role_ok, stage.checks_ok) for name, stage in state.stages.items() if stage.ended is not None}


def test_run_that_passed() -> None:
    recorded = stream("passed")
    state = replayed(recorded)
    assert (state.end, state.failure, state.watched, state.preparing) == (None, None, True, "")
    assert endings(state) == {"structure": (True, True)} | dict.fromkeys(UP[1:], (True, True))
    assert all(stage.changed for name, stage in state.stages.items() if name != "structure")
    assert state.guest_is_new
    assert len(state.build["module"]["sha256"]) == 64
    assert state.image["key"]
    began = [stage.began for stage in state.stages.values()]
    assert began == sorted(began)
    assert all(stage.ended is not None and stage.ended > stage.began for stage in state.stages.values())


def test_role_that_failed() -> None:
    state = replayed(stream("failed-role"))
    assert state.end is None
    assert endings(state) == {"structure": (True, True), "build": (False, None)}
    assert state.failure is not None
    assert (state.failure.role, state.failure.outcome) == ("vexfs_build", "failed")
    assert "error: " in state.failure.message
    assert not state.build.get("module")


def test_panic_in_a_role() -> None:
    state = replayed(stream("panic-in-a-role"))
    assert state.death is not None
    assert given(state) == {"load": (Verdict.PANICKED, "Kernel panic - not syncing: vexfs: recorded")}
    assert state.stages["load"].role_ok is not True
    assert endings(state)["build"] == (True, True)
    assert list(state.stages) == ["structure", "build", "load"]


def test_panic_in_a_check() -> None:
    state = replayed(stream("panic-in-a-check"), ["mount"])
    [(stage, (verdict, reason))] = given(state).items()
    assert (stage, verdict) == ("mount", Verdict.PANICKED)
    assert reason.startswith("Kernel panic - not syncing: sysrq triggered crash")
    assert (state.stages["mount"].role_ok, state.after) == (True, False)


def test_deadline() -> None:
    recorded = stream("deadline")
    state = replayed(recorded, deadline=SHORT_DEADLINE)
    assert given(state) == {"load": (Verdict.HUNG, f"the stage did not end within its deadline of {SHORT_DEADLINE} s")}
    in_time = replayed(recorded)  # with the deadline that the stage has otherwise
    assert in_time.end is None


def test_interrupted_twice() -> None:
    """The person's end is no death of the guest, and the second one changes nothing."""
    recorded = stream("interrupted-twice")
    assert recorded.count(Interruption()) >= 2
    state = replayed(recorded, ["mount"])
    assert state.death is None
    assert given(state) == {"mount": (Verdict.NOT_RUN, "interrupted")}
    first = recorded.index(Interruption())
    once = [event for index, event in enumerate(recorded) if index <= first or event != Interruption()]
    assert given(replayed(once, ["mount"])) == given(state)


def test_connection_that_was_lost() -> None:
    state = replayed(stream("connection-lost"), UP[:2])
    [(stage, (verdict, reason))] = given(state).items()
    assert (stage, verdict) == ("build", Verdict.LOST)
    assert reason.startswith("the connection to the guest was lost: ")
    assert state.failure is not None
    assert state.failure.outcome == "unreachable"
    early = [event for event in stream("connection-lost") if not isinstance(event, WatchClosed)]
    assert replayed(early, UP[:2]).end is None  # as long as the watch may still tell of a death


def test_process_of_the_checks_that_was_killed() -> None:
    state = replayed(stream("checks-killed"), ["mount"])
    [(stage, (verdict, reason))] = given(state).items()
    assert (stage, verdict) == ("mount", Verdict.LOST)
    assert "the process in the guest that runs the checks was killed" in reason


@pytest.mark.parametrize("name", sorted(path.stem for path in STREAMS.glob("*.jsonl")))
def test_death_at_any_moment_of_any_run_is_charged_to_one_stage(name: str) -> None:
    """To the stage that had begun last, whatever came before and comes after; nothing begins after it."""
    death = GuestFailure(Verdict.PANICKED, "Kernel panic - not syncing: at this moment")
    stages = ["mount"] if name in ("panic-in-a-check", "interrupted-twice", "checks-killed") else UP
    recorded = [event for event in stream(name) if not isinstance(event, tracker.End | Clock)]
    begun = 0
    closed = next(index for index, event in enumerate(recorded) if isinstance(event, WatchClosed))
    for moment, event in enumerate(recorded[: closed + 1]):  # afterwards nobody tells
        state = replayed([*recorded[:moment], death, *recorded[moment:]], stages)
        [(stage, (verdict, reason))] = given(state).items()
        assert (verdict, reason.endswith(death.reason)) == (Verdict.PANICKED, True), moment
        assert stage == stages[max(0, begun - 1)], moment
        assert len(state.stages) == begun, moment
        begun += isinstance(event, TaskStarted) and event.action == STAGE


def test_streams_are_whole() -> None:
    """Each has its end, and the checks of what it judged."""
    for path in STREAMS.glob("*.jsonl"):
        recorded = list(events.read(path))
        assert isinstance(recorded[-1], events.RunEnded), path
        assert any(isinstance(event, TaskStarted) and event.action == JUDGE for event in recorded), path
        assert any(isinstance(event, TaskEnded) and event.announced for event in recorded), path
