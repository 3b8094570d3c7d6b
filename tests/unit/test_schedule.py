"""Which host takes which cell: in simulated time, with cells that do nothing and hosts that die."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from vexlab.matrix import schedule
from vexlab.matrix.schedule import Assignment, Earlier, Schedule

PLACES = 2
HOSTS = [f"host{number}" for number in range(20)]
LENGTHS = {f"cell{number}": length for number, length in enumerate(random.Random(7).choices(range(20, 400), k=200))}  # noqa: S311


@dataclass
class Simulation:
    """Cells that sleep, and hosts that die at a time and are found out a while later, or speak up after all."""

    lengths: Mapping[str, float]
    deaths: Mapping[str, float] = field(default_factory=dict)
    patience: float = 120
    recorded: Counter[str] = field(default_factory=Counter)
    begun: list[Assignment] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    now: float = 0

    def run(self, state: Schedule, *, speaks_up: bool = False) -> Schedule:
        """Until every cell has ended. A host that `speaks_up` tells of its cells after it was taken for lost."""
        queue: list[tuple[float, int, str, Assignment]] = []
        order = iter(range(100_000))

        def later(when: float, kind: str, assignment: Assignment) -> None:
            heapq.heappush(queue, (when, next(order), kind, assignment))

        while True:
            while (given := state.next()) is not None:
                state = state.give(given)
                self.begun.append(given)
                over, dies = self.now + self.lengths[given.cell], self.deaths.get(given.host)
                if dies is None or over < dies:
                    later(over, "ended", given)
                else:
                    later(max(dies, self.now) + self.patience, "silent", given)
                    if speaks_up:
                        later(max(dies, self.now) + 2 * self.patience, "ended", given)
            for cell, reason in list(state.nobodys()):
                self.dropped[cell] = reason
                state = state.drop(cell)
            if state.is_over:
                return state
            self.now, _, kind, assignment = heapq.heappop(queue)
            if not state.is_given(assignment):
                continue
            if kind == "ended":
                self.recorded[assignment.cell] += 1
                state = state.end(assignment)
            else:
                state = state.lose(assignment.host, "no sign of life")


def ready(hosts: Sequence[str] = HOSTS, known: Mapping[str, float] = LENGTHS) -> Schedule:
    state = schedule.begin(hosts, list(LENGTHS), {cell: Earlier(length) for cell, length in known.items()})
    for host in hosts:
        state = state.ready(host, PLACES)
    return state


def bound(lengths: Mapping[str, float], places: int) -> float:
    """What no schedule can beat."""
    return max(sum(lengths.values()) / places, *lengths.values())


def test_200_cells_on_20_hosts_take_hardly_longer_than_they_must() -> None:
    simulated = Simulation(LENGTHS)
    simulated.run(ready())
    assert set(simulated.recorded) == set(LENGTHS)
    assert set(simulated.recorded.values()) == {1}
    least = bound(LENGTHS, PLACES * len(HOSTS))
    assert simulated.now <= 4 / 3 * least, "the bound of longest first"
    assert simulated.now <= 1.05 * least, "what it came to with these lengths"


def test_of_cells_of_which_nothing_is_known_no_place_is_left_idle() -> None:
    simulated = Simulation(LENGTHS)
    simulated.run(ready(known={}))
    places = PLACES * len(HOSTS)
    assert simulated.now <= sum(LENGTHS.values()) / places + max(LENGTHS.values()), "the bound of any order"


@pytest.mark.parametrize("speaks_up", [False, True])
def test_nothing_is_lost_and_nothing_twice_when_three_hosts_die(speaks_up: bool) -> None:
    """One dies at once, two later; what they say after they were taken for lost doesn't count."""
    simulated = Simulation(LENGTHS, {"host3": 0.0, "host7": 130.0, "host19": 333.0})
    state = simulated.run(ready(), speaks_up=speaks_up)
    assert set(simulated.recorded) == set(LENGTHS)
    assert set(simulated.recorded.values()) == {1}
    assert {name for name, host in state.hosts.items() if host.lost} == {"host3", "host7", "host19"}
    assert max(Counter((each.cell, each.host) for each in simulated.begun).values()) == 1
    again = Counter(each.cell for each in simulated.begun)
    assert sum(count - 1 for count in again.values()) == 3 * PLACES, "only what was at work on them is done again"
    # What is left of 20 hosts does the work, and the last that was found out late is done again, at the longest.
    late = 333 + simulated.patience + max(LENGTHS.values())
    assert simulated.now <= max(bound(LENGTHS, PLACES * (len(HOSTS) - 3)) * 1.05 + simulated.patience, late)


def test_cells_that_nobody_is_left_for_are_told_with_the_reason() -> None:
    simulated = Simulation(LENGTHS, {"host0": 500.0, "host1": 800.0})
    simulated.run(ready(["host0", "host1"]))
    assert set(simulated.recorded) | set(simulated.dropped) == set(LENGTHS)
    assert not set(simulated.recorded) & set(simulated.dropped)
    assert set(simulated.dropped.values()) >= {"host0: no sign of life; host1: no sign of life"}


def two(**earlier: Earlier) -> Schedule:
    return schedule.begin(["a", "b"], ["one", "two"], earlier)


def test_host_takes_nothing_before_it_is_prepared() -> None:
    state = two()
    assert state.next() is None
    assert not list(state.nobodys())
    assert state.ready("b", 1).next() == Assignment("one", "b")


def test_longest_goes_first_and_to_the_host_that_has_what_was_built() -> None:
    state = two(one=Earlier(5), two=Earlier(9, "b")).ready("a", 2).ready("b", 1)
    assert state.next() == Assignment("two", "b")
    state = state.give(Assignment("two", "b"))
    assert state.next() == Assignment("one", "a")


def test_host_takes_what_it_had_before_what_takes_longest() -> None:
    state = two(one=Earlier(9, "b"), two=Earlier(5, "a")).ready("a", 1)
    assert state.next() == Assignment("two", "a")
    assert state.give(Assignment("two", "a")).ready("b", 1).next() == Assignment("one", "b")


def test_host_that_has_it_is_not_waited_for() -> None:
    state = two(one=Earlier(5, "b"), two=Earlier(4, "gone")).ready("a", 1)
    assert state.next() == Assignment("one", "a")
    assert state.give(Assignment("one", "a")).ready("b", 1).next() == Assignment("two", "b")


def test_cell_that_a_host_cannot_try_goes_to_another_and_never_back() -> None:
    first = Assignment("one", "a")
    state = two().ready("a", 1).ready("b", 1).give(first).give_back(first, "no room")
    assert state.next() == Assignment("one", "b")
    second = Assignment("one", "b")
    state = state.give(second).give_back(second, "no compiler")
    assert dict(state.nobodys()) == {"one": "a: no room; b: no compiler"}
    assert not any(host.lost for host in state.hosts.values())


def test_host_that_can_try_nothing_is_lost() -> None:
    one, other = Assignment("one", "a"), Assignment("two", "a")
    state = two().ready("a", 2).give(one).give(other).give_back(one, "no room").give_back(other, "no room")
    assert state.hosts["a"].lost == "no room"
    one_works = two().ready("a", 2).give(one).give(other).give_back(one, "no room").end(other)
    assert not one_works.hosts["a"].lost


def test_cell_that_takes_host_after_host_down_is_given_to_no_more_than_three() -> None:
    state = schedule.begin(list("abcde"), ["bad", "good"], {})
    for name in "abcde":
        state = state.ready(name, 1)
    for _ in range(schedule.MOST_HOSTS):
        given = state.next()
        assert given is not None
        assert given.cell == "bad"
        state = state.give(given).lose(given.host, "it died")
    assert dict(state.nobodys()) == {"bad": "a: it died; b: it died; c: it died"}
    given = state.next()
    assert given is not None
    assert given.cell == "good"
