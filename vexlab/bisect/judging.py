"""What is said of a commit, from what runs of a check on it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from vexlab.bisect.search import Answer
from vexlab.bundle import comparison
from vexlab.bundle.manifest import Failure
from vexlab.results.causes import first_line
from vexlab.results.model import WRONG, Run, Verdict

RETRIES = 3  # guests that may get lost over one commit


class Sight(StrEnum):
    """What a run showed of the failure that is looked for."""

    ABSENT = "absent"
    PRESENT = "present"
    OTHER = "other"  # not built, or something else went wrong: the run says nothing of it
    LOST = "lost"  # so did the guest


@dataclass(frozen=True)
class Observation:
    """What one run showed, why in words, and the name of the run."""

    sight: Sight
    why: str = ""
    run: str = ""


@dataclass(frozen=True)
class Judgement:
    """What is said of a commit: how often the check passed and failed there, and the observation that decided."""

    answer: Answer
    passed: int
    last: Observation

    @property
    def failed(self) -> int:
        """How often the failure was seen."""
        return int(self.answer is Answer.BAD)


def judge(observe: Callable[[], Observation], times: int) -> Judgement:
    """Observe until the failure is seen, until it was absent so often, or until the commit says nothing of it."""
    passed = lost = 0
    while True:
        seen = observe()
        if seen.sight is Sight.PRESENT:
            return Judgement(Answer.BAD, passed, seen)
        if seen.sight is Sight.LOST and lost < RETRIES:
            lost += 1
            continue
        if seen.sight is not Sight.ABSENT:
            return Judgement(Answer.SKIP, passed, seen)
        passed += 1
        if passed >= times:
            return Judgement(Answer.GOOD, passed, seen)


def seen_in(run: Run, wanted: Failure) -> Observation:
    """What a run showed of a failure."""
    came = comparison.came_of(wanted, run)
    stage = next((stage for stage in run.stages if stage.name == wanted.stage), None)
    if comparison.is_same(wanted, came):
        return Observation(Sight.PRESENT, first_line(wanted.words), run.run)
    came_about = not wanted.check and stage is not None and stage.achieved
    if came_about or (came is not None and came.verdict is Verdict.PASSED):
        return Observation(Sight.ABSENT, f"{wanted.name} passed", run.run)
    if came is not None and came.verdict in (*WRONG, Verdict.SKIPPED, Verdict.XFAILED):
        sight = Sight.LOST if came.verdict is Verdict.LOST else Sight.OTHER
        return Observation(sight, f"{wanted.name} {came.verdict}: {first_line(came.words)}", run.run)
    first = next((each for each in run.stages if each.verdict in WRONG), None)
    told = f"stage {first.name} {first.verdict}: {first_line(first.reason)}" if first else f"{wanted.name} was not run"
    is_lost = first is not None and first.verdict is Verdict.LOST
    return Observation(Sight.LOST if is_lost else Sight.OTHER, told, run.run)
