"""What ends an execution meets the state of its stages: nothing is dropped, and nothing is charged to the wrong one."""

from __future__ import annotations

from functools import reduce

import pytest

from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.results.model import Verdict
from vexlab.run.tracker import (
    AFTER,
    BEFORE,
    Changed,
    ChecksEnded,
    Event,
    Interruption,
    RoleEnded,
    StageBegan,
    StageEnded,
    State,
    advance,
    spoils,
)

PANIC = GuestFailure(Verdict.PANICKED, "Kernel panic - not syncing: sysrq triggered crash")
LOST = GuestFailure(Verdict.LOST, "the connection to the guest was lost")
FULL = MachineProblem("on this machine, write of the guest's disk failed: No space left on device", "make room")
CTRL_C = Interruption()
FIRST = "structure"


def whole(name: str, ok: bool = True) -> list[Event]:
    """A stage from its beginning to its end."""
    return [StageBegan(name, 1.0), RoleEnded(True), ChecksEnded(ok), StageEnded(2.0)]


def after(*events: Event | list[Event]) -> State:
    flat = [event for some in events for event in (some if isinstance(some, list) else [some])]
    return reduce(advance, flat, State())


def verdicts(state: State) -> dict[str, tuple[Verdict, str]]:
    """What the end gives to each stage that it gives something to, the first one included."""
    found = {name: spoils(state, name, FIRST) for name in {FIRST: 0, **state.stages}}
    return {name: given for name, given in found.items() if given is not None}


IN = (Verdict.PANICKED, PANIC.reason)
BEHIND = (Verdict.PANICKED, AFTER + PANIC.reason)


@pytest.mark.parametrize(
    ("events", "given"),
    [
        ([PANIC], {FIRST: (Verdict.PANICKED, BEFORE + PANIC.reason)}),
        ([StageBegan("load", 1.0), PANIC], {"load": IN}),
        ([StageBegan("load", 1.0), RoleEnded(True), PANIC], {"load": IN}),
        ([StageBegan("load", 1.0), RoleEnded(True), ChecksEnded(True), PANIC], {"load": IN}),
        ([StageBegan("load", 1.0), RoleEnded(True), ChecksEnded(False), PANIC], {"load": IN}),
        ([*whole("load"), PANIC], {"load": BEHIND}),
        ([*whole("load", ok=False), PANIC], {"load": BEHIND}),
        ([*whole("load"), *whole("mkfs"), PANIC], {"mkfs": BEHIND}),
        ([*whole("load"), StageBegan("mkfs", 3.0), PANIC], {"mkfs": IN}),
        ([*whole("load"), LOST], {"load": (Verdict.LOST, AFTER + LOST.reason)}),
        ([StageBegan("load", 1.0, judged=False), StageEnded(2.0), PANIC], {"load": BEHIND}),
    ],
)
def test_a_death_is_charged_wherever_it_comes(events: list[Event], given: dict[str, tuple[Verdict, str]]) -> None:
    assert verdicts(after(events)) == given


def test_each_moment_between_two_stages_is_of_the_first_one() -> None:
    """No event between them lets a death go by, in whatever order the threads bring it."""
    stream = [*whole("load"), *whole("mkfs"), *whole("mount")]
    for moment in range(len(stream) + 1):
        given = verdicts(after(stream[:moment], PANIC, stream[moment:]))
        assert len(given) == 1, moment
        [(verdict, reason)] = given.values()
        assert (verdict, reason.endswith(PANIC.reason)) == (Verdict.PANICKED, True), moment


def test_nothing_begins_or_is_judged_in_a_guest_that_died() -> None:
    state = after(whole("load"), PANIC, StageBegan("mkfs", 3.0), RoleEnded(False), ChecksEnded(False), Changed())
    assert list(state.stages) == ["load"]
    load = state.stages["load"]
    assert (load.role_ok, load.checks_ok, load.changed) == (True, True, False)


@pytest.mark.parametrize("end", [FULL, CTRL_C])
def test_what_the_machine_or_the_person_ended_leaves_no_verdict(end: Event) -> None:
    reason = end.reason if isinstance(end, MachineProblem | Interruption) else ""
    assert verdicts(after(whole("load"), StageBegan("mkfs", 3.0), end)) == {"mkfs": (Verdict.NOT_RUN, reason)}


@pytest.mark.parametrize("end", [FULL, CTRL_C])
def test_and_takes_none_from_what_ended_before(end: Event) -> None:
    assert verdicts(after(whole("load"), whole("mkfs", ok=False), end)) == {}
    assert verdicts(after(end)) == {}


def test_the_first_end_explains_the_others() -> None:
    """A guest whose disk is gone panics later, and one that panicked can't be written to."""
    begun = StageBegan("mkfs", 1.0)
    assert verdicts(after(begun, FULL, PANIC))["mkfs"][0] is Verdict.NOT_RUN
    assert after(begun, FULL, PANIC).machine_problem == FULL
    assert after(begun, PANIC, FULL).machine_problem is None
    assert verdicts(after(begun, PANIC, FULL, LOST)) == {"mkfs": IN}


def test_an_interruption_is_no_death_and_hides_none() -> None:
    begun = StageBegan("mkfs", 1.0)
    assert after(begun, CTRL_C).death is None
    assert verdicts(after(begun, CTRL_C, PANIC)) == {"mkfs": IN}
    assert verdicts(after(whole("load"), CTRL_C, PANIC)) == {"load": BEHIND}
    assert verdicts(after(begun, PANIC, CTRL_C)) == {"mkfs": IN}


def test_a_death_has_a_verdict_of_one() -> None:
    with pytest.raises(ValueError, match="not_run"):
        after(GuestFailure(Verdict.NOT_RUN, "interrupted"))
