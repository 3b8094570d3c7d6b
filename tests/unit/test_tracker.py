"""What ends an execution meets the state of its stages: nothing is dropped, and nothing is charged to the wrong one."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

from vexlab.errors import VexlabError
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.results.model import Verdict
from vexlab.run.events import (
    JUDGE,
    STAGE,
    Clock,
    Event,
    GuestReady,
    Interruption,
    PlaybookEnded,
    RunEnded,
    TaskEnded,
    TaskStarted,
    WatchClosed,
    encode,
    read,
)  # fmt: skip
from vexlab.run.tracker import AFTER, BEFORE, PlannedStage, State, advance, spoils

PANIC = GuestFailure(Verdict.PANICKED, "Kernel panic - not syncing: sysrq triggered crash")
LOST = GuestFailure(Verdict.LOST, "the connection to the guest was lost")
FULL = MachineProblem("on this machine, write of the guest's disk failed: No space left on device", "make room")
CTRL_C = Interruption()
STAGES = ("load", "mkfs", "mount")
FIRST = STAGES[0]
BEGINS = TaskStarted(1.0, "", STAGE)  # the next stage of the plan
CHECKS_BEGIN = TaskStarted(1.0, "", JUDGE)  # its role has ended well
CHANGED = TaskEnded(1.0, "ok", "vexfs_load", changed=True)
ROLE_FAILED = TaskEnded(1.0, "failed", "vexfs_load", message="insmod: File exists")
UNJUDGED = TaskEnded(2.0, "skipped", action=JUDGE)


def checks_end(exit_code: int = 0) -> Event:
    """The checks ended, and the playbook goes on."""
    return TaskEnded(2.0, "ok", action=JUDGE, exit_code=exit_code)


def checks_fail() -> Event:
    """The checks ended, and the playbook ends at that."""
    return TaskEnded(2.0, "failed", action=JUDGE, exit_code=1)


def whole(ok: bool = True) -> list[Event]:
    """A stage from its beginning to its end."""
    return [BEGINS, CHECKS_BEGIN, checks_end(0 if ok else 1)]


def after(*events: Event | list[Event], judged: tuple[str, ...] = STAGES) -> State:
    flat = [event for some in events for event in (some if isinstance(some, list) else [some])]
    planned = tuple(PlannedStage(name, judged=name in judged) for name in STAGES)
    return reduce(advance, flat, State(planned))


def verdicts(state: State) -> dict[str, tuple[Verdict, str]]:
    """What the end gives to each stage that it gives something to, the first one included."""
    found = {name: spoils(state, name) for name in {FIRST: 0, **state.stages}}
    return {name: given for name, given in found.items() if given is not None}


IN = (Verdict.PANICKED, PANIC.reason)
BEHIND = (Verdict.PANICKED, AFTER + PANIC.reason)


@pytest.mark.parametrize(
    ("events", "given"),
    [
        ([PANIC], {FIRST: (Verdict.PANICKED, BEFORE + PANIC.reason)}),
        ([BEGINS, PANIC], {"load": IN}),
        ([BEGINS, CHECKS_BEGIN, PANIC], {"load": IN}),
        ([BEGINS, ROLE_FAILED, PANIC], {"load": IN}),
        ([BEGINS, CHECKS_BEGIN, checks_fail(), PANIC], {"load": IN}),
        ([*whole(), PANIC], {"load": BEHIND}),
        ([*whole(ok=False), PANIC], {"load": BEHIND}),
        ([*whole(), *whole(), PANIC], {"mkfs": BEHIND}),
        ([*whole(), BEGINS, PANIC], {"mkfs": IN}),
        ([*whole(), LOST], {"load": (Verdict.LOST, AFTER + LOST.reason)}),
        ([BEGINS, UNJUDGED, PANIC], {"load": BEHIND}),
    ],
)
def test_a_death_is_charged_wherever_it_comes(events: list[Event], given: dict[str, tuple[Verdict, str]]) -> None:
    assert verdicts(after(events)) == given


def test_each_moment_between_two_stages_is_of_the_first_one() -> None:
    """No event between them lets a death go by, in whatever order the threads bring it."""
    stream = [*whole(), *whole(), *whole()]
    for moment in range(len(stream) + 1):
        given = verdicts(after(stream[:moment], PANIC, stream[moment:]))
        assert len(given) == 1, moment
        [(verdict, reason)] = given.values()
        assert (verdict, reason.endswith(PANIC.reason)) == (Verdict.PANICKED, True), moment


def test_nothing_begins_or_is_judged_in_a_guest_that_died() -> None:
    state = after(whole(), PANIC, BEGINS, ROLE_FAILED, CHECKS_BEGIN, checks_fail(), CHANGED)
    assert list(state.stages) == ["load"]
    load = state.stages["load"]
    assert (load.role_ok, load.checks_ok, load.changed) == (True, True, False)


@pytest.mark.parametrize("end", [FULL, CTRL_C])
def test_what_the_machine_or_the_person_ended_leaves_no_verdict(end: Event) -> None:
    reason = end.reason if isinstance(end, MachineProblem | Interruption) else ""
    assert verdicts(after(whole(), BEGINS, end)) == {"mkfs": (Verdict.NOT_RUN, reason)}


@pytest.mark.parametrize("end", [FULL, CTRL_C])
def test_and_takes_none_from_what_ended_before(end: Event) -> None:
    assert verdicts(after(whole(), whole(ok=False), end)) == {}
    assert verdicts(after(end)) == {}


def test_the_first_end_explains_the_others() -> None:
    """A guest whose disk is gone panics later, and one that panicked can't be written to."""
    begun: list[Event] = [*whole(), BEGINS]
    assert verdicts(after(begun, FULL, PANIC))["mkfs"][0] is Verdict.NOT_RUN
    assert after(begun, FULL, PANIC).machine_problem == FULL
    assert after(begun, PANIC, FULL).machine_problem is None
    assert verdicts(after(begun, PANIC, FULL, LOST)) == {"mkfs": IN}


def test_an_interruption_is_no_death_and_hides_none() -> None:
    begun: list[Event] = [*whole(), BEGINS]
    assert after(begun, CTRL_C).death is None
    assert verdicts(after(begun, CTRL_C, PANIC)) == {"mkfs": IN}
    assert verdicts(after(whole(), CTRL_C, PANIC)) == {"load": BEHIND}
    assert verdicts(after(begun, PANIC, CTRL_C)) == {"mkfs": IN}


def test_no_kernel_panics_of_a_full_disk_of_its_own() -> None:
    """Who fills it hides no panic; a guest that is only lost after that may be lost for that."""
    full = MachineProblem("the guest's own disk is full, at /", explains_panic=False)
    begun: list[Event] = [*whole(), BEGINS]
    assert verdicts(after(begun, full, PANIC)) == {"mkfs": IN}
    assert after(begun, full, LOST).machine_problem == full
    assert verdicts(after(begun, PANIC, full)) == {"mkfs": IN}


def test_a_death_has_a_verdict_of_one() -> None:
    with pytest.raises(ValueError, match="not_run"):
        after(GuestFailure(Verdict.NOT_RUN, "interrupted"))


def test_stage_past_its_deadline_hangs() -> None:
    """As soon as the clock says so, and only while it goes on; with two stages, each has its own time."""
    planned = (PlannedStage("load", deadline=30.0), PlannedStage("mkfs", deadline=60.0))
    begun = advance(advance(State(planned), TaskStarted(100.0, "", STAGE)), Clock(130.0))
    assert begun.end is None
    late = advance(begun, Clock(130.2))
    assert late.death == GuestFailure(Verdict.HUNG, "the stage did not end within its deadline of 30 s")
    assert late.charged == "load"
    ended = advance(begun, TaskEnded(129.0, "ok", action=JUDGE, exit_code=0))
    assert advance(ended, Clock(500.0)).end is None
    following = advance(ended, TaskStarted(140.0, "", STAGE))
    assert advance(following, Clock(199.0)).end is None
    assert advance(following, Clock(200.5)).charged == "mkfs"
    assert advance(State(planned), Clock(500.0)).end is None  # before any began
    assert advance(advance(begun, CTRL_C), Clock(500.0)).end == CTRL_C


def test_host_that_can_not_be_reached_is_lost_when_nobody_tells_more() -> None:
    """Until then the watch may know that the guest died, and of what."""
    gone = TaskEnded(5.0, "unreachable", "vexfs_load", message="Connection timed out")
    state = after(BEGINS, gone)
    assert state.end is None
    why = "the connection to the guest was lost: Connection timed out"
    assert verdicts(advance(state, WatchClosed())) == {"load": (Verdict.LOST, why)}
    assert verdicts(advance(advance(state, PANIC), WatchClosed())) == {"load": IN}
    assert advance(after(gone), WatchClosed()).end is None  # no stage had begun: the guest was not brought up
    assert advance(after(BEGINS, ROLE_FAILED), WatchClosed()).end is None


def test_first_failure_is_the_reason() -> None:
    second = TaskEnded(6.0, "failed", "vexfs_load", message="and then")
    assert after(BEGINS, ROLE_FAILED, second).failure == ROLE_FAILED


def test_guest_is_new_when_its_preparation_changed_something() -> None:
    """So that a death before the first stage is none of a module that an earlier run had left in it."""
    image, guest = TaskStarted(1.0, "vexlab_image", "command"), TaskStarted(2.0, "vexlab_guest", "command")
    changed = TaskEnded(2.5, "ok", "vexlab_guest", changed=True)
    assert [after(image).preparing, after(image, guest).preparing] == ["image", "guest"]
    ready = after(image, guest, changed, GuestReady())
    assert (ready.preparing, ready.guest_is_new, ready.watched, ready.began) == ("", True, True, False)
    assert not advance(ready, PANIC).began
    unchanged = after(image, changed, guest, GuestReady())  # the image changed, and the guest did not
    assert not unchanged.guest_is_new
    assert advance(unchanged, PANIC).began
    assert after(image, guest, changed, BEGINS).guest_is_new  # of a playbook that never says that it is ready


@pytest.mark.parametrize(("kind", "other"), [("host_problem", "guest"), ("guest_problem", "sandbox")])
def test_machine_that_can_not_build_says_nothing_of_the_module(kind: str, other: str) -> None:
    told = TaskEnded(2.0, "failed", "vexfs_build", facts={"vexfs_build_result": {kind: "cc1 was killed"}})
    state = after(BEGINS, told)
    assert state.machine_problem is not None
    assert (state.machine_problem.reason, state.build) == ("cc1 was killed", {})
    assert f"--builder {other}" in state.machine_problem.hint
    built = TaskEnded(2.0, "ok", "vexfs_build", facts={"vexfs_build_result": {"module": {"name": "toyfs"}}})
    assert after(BEGINS, built).build == {"module": {"name": "toyfs"}}


def test_playbook_that_runs_other_stages_than_planned_is_refused() -> None:
    with pytest.raises(VexlabError, match="began stage mount where load was next"):
        after(BEGINS, TaskEnded(1.5, "ok", action=STAGE, announced="mount"))
    with pytest.raises(VexlabError, match="a stage that was not asked for"):
        after(whole(), whole(), whole(), BEGINS)


def test_an_event_is_written_and_read_as_it_was(tmp_path: Path) -> None:
    """What is written to events.jsonl can be replayed."""
    stream: list[Event] = [
        TaskStarted(1.0, "vexlab_guest", "command"), GuestReady(), *whole(), ROLE_FAILED, UNJUDGED, Clock(7.5), PANIC,
        FULL, CTRL_C, TaskEnded(2.0, "ok", facts={"vexlab_told": [1, "ä", None]}), WatchClosed(), RunEnded(9.0),
        PlaybookEnded(8.0, ok=False),
    ]  # fmt: skip
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(event) for event in stream))
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(stream)
    assert list(read(path)) == stream
