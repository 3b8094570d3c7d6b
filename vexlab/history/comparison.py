"""Two runs compared: what changed, which of it the past explains, what else differs, what became slow."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vexlab.config import user_directories
from vexlab.config.check_names import meant
from vexlab.errors import UsageProblem
from vexlab.history import differences as other_things
from vexlab.history.changes import NEW, Change, Class, changes, new_failures
from vexlab.history.differences import Difference
from vexlab.history.outcomes import ITSELF, JUDGED, outcomes
from vexlab.history.past_runs import PastRun, PastRuns, Tally
from vexlab.history.statistics import DOUBT, LEAST_RUNS, by_chance, interval, is_slower, pace
from vexlab.results import archive, results_file
from vexlab.results.model import WRONG, Check, Run, Verdict

RECENT = 20  # runs whose times tell what is usual


@dataclass(frozen=True)
class Slow:
    """A check that passed and took longer than is usual; seconds, and of how many earlier runs the median is."""

    check: str
    usual: float
    now: float
    runs: int


@dataclass(frozen=True)
class Times:
    """What became slow; `pace` is how much longer everything took, `why_not` why nothing can be told."""

    slow: tuple[Slow, ...] = ()
    pace: float = 1.0
    why_not: str = ""


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in; `common` is how many checks were judged in both, `source` the files that differ."""

    old: Run
    new: Run
    common: int
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    source: tuple[str, ...]
    times: Times
    remarks: tuple[str, ...]

    @property
    def new_failures(self) -> list[Change]:
        """What fails that was not wrong before, and that nothing explains."""
        return new_failures(self.changes)


def compare(old: PastRun, new: PastRun, past: PastRuns, leave_out: Collection[str] = ()) -> Comparison:
    """Compare two runs; those to be left out, whose results somebody edited, say nothing of the past.

    Raises UsageProblem when no check was judged in both, and a VexlabError when one can't be read any more.
    """
    base = user_directories.runs_directory()
    one, other = (results_file.read(base / run.name / archive.RESULTS) for run in (old, new))
    before, now = outcomes(one), outcomes(other)
    missed, not_yet = _not_chosen(other, set(before) - set(now)), _not_chosen(one, set(now) - set(before))
    before = {name: check for name, check in before.items() if name not in missed}
    now = {name: check for name, check in now.items() if name not in not_yet}
    common = [name for name, check in before.items() if _judged(check) and name in now and _judged(now[name])]
    if not common:
        raise _nothing_in_common(one, other)
    latest = max(old.name, new.name)
    earlier = [run for run in past.runs() if run.name < latest and run.name != new.name and run.name not in leave_out]
    return Comparison(
        one, other, sum(not name.endswith(f"/{ITSELF}") for name in common),
        tuple(_explained(changes(before, now), (old, new), other, past, earlier)),
        tuple(other_things.differences(one, other)), tuple(other_things.of_source(one, other)),
        _times(old, new, past, [run for run in earlier if run.kernel == old.kernel]),
        (*_remarks(one, other), *_of_choice(one, other, not_yet), *_of_choice(other, one, missed)),
    )  # fmt: skip


def _judged(check: Check) -> bool:
    return check.verdict in JUDGED


def _not_chosen(run: Run, names: Collection[str]) -> set[str]:
    """The checks of these, which a run doesn't have, that it was not asked for: it says nothing of them."""
    if not run.chosen:
        return set()
    by_stage: dict[str, list[str]] = {}
    for name in names:
        stage, _, short = name.partition("/")
        by_stage.setdefault(stage, []).append(short)
    chosen = [name.partition("/") for name in run.chosen]
    asked = {f"{stage}/{short}" for stage, _, name in chosen for short in meant(name, by_stage.get(stage, ()))}
    return set(names) - asked - {f"{stage}/{ITSELF}" for stage in run.selected}


def _of_choice(run: Run, other: Run, names: Collection[str]) -> list[str]:
    """What is to be known of a run that had only chosen checks."""
    return [f"{run.run} was of chosen checks: {len(names)} that {other.run} has were not chosen"] if names else []


def _nothing_in_common(old: Run, new: Run) -> UsageProblem:
    return UsageProblem(
        f"{old.run} and {new.run} have nothing in common: no check was judged in both",
        "; ".join(_what_it_judged(run) for run in (old, new)),
    )


def _what_it_judged(run: Run) -> str:
    """Of which target a run is and what it judged; of one that judged nothing, what kept it."""
    wrong = next((stage for stage in run.stages if stage.verdict in WRONG), None)
    if wrong is not None and not any(
        check.verdict is not Verdict.NOT_RUN for stage in run.stages for check in stage.checks
    ):
        return f"{run.run} judged no check, since stage {wrong.name} {wrong.verdict}"
    return f"{run.run} is of target {run.target}, stages {', '.join(run.selected) or 'none'}"


def _remarks(old: Run, new: Run) -> list[str]:
    """What a reader must know of the two before the rest."""
    cut_off = [run.run for run in (old, new) if not run.finished]
    found = [f"run {name} never ended: what it did not reach has no verdict" for name in cut_off]
    if old.target != new.target:
        found.append(f"the runs are of two targets: {old.target}, {new.target}")
    return found


def _explained(
    found: Sequence[Change], pair: tuple[PastRun, PastRun], new: Run, past: PastRuns, earlier: Sequence[PastRun]
) -> list[Change]:
    """The changes, each with what the past of the same module on the same kernel has to say of it."""
    doubtful = [change.check for change in found if change.kind in (*NEW, Class.FIXED)]
    groups = [
        past.tallies(doubtful, [run.name for run in earlier if run.same == same])
        for same in dict.fromkeys(run.same for run in pair)
        if same is not None
    ]
    known = [[group[change.check] for group in groups if change.check in group] for change in found]
    return [
        change if change.explained else dataclasses.replace(change, explained=_by_past(change, tallies, new))
        for change, tallies in zip(found, known, strict=True)
    ]


def _by_past(change: Change, tallies: Sequence[Tally], new: Run) -> str:
    """How a flaky past explains a change; empty where it doesn't.

    Flaky is what both passed and failed in earlier runs of one module on one kernel. That explains what came now where
    it could well have come of the same rate.
    """
    again = new.reruns if new.reruns and new.reruns.check == change.check else None
    fails = change.kind is not Class.FIXED
    now = (1 + (again.failed if again else 0), 1 + (again.of if again else 0)) if fails else (1, 1)
    for tally in tallies:
        hits = tally.failed if fails else tally.judged - tally.failed
        if 0 < tally.failed < tally.judged and by_chance((hits, tally.judged), now) >= DOUBT:
            low, high = interval(tally.failed, tally.judged)
            return (
                f"flaky: failed in {tally.failed} of {tally.judged} earlier runs of the same module and kernel,"
                f" a rate between {low:.0%} and {high:.0%}"
            )
    return ""


def _times(old: PastRun, new: PastRun, past: PastRuns, earlier: Sequence[PastRun]) -> Times:
    """What became slow in the new run, beyond the noise of the runs like the old one."""
    if old.conditions != new.conditions:
        return Times(why_not="target, machine or amounts are others")
    like = [run.name for run in earlier if run.conditions == old.conditions][-RECENT:]
    if len(like) < LEAST_RUNS:
        return Times(why_not=f"there are {len(like)} earlier runs like these, and {LEAST_RUNS} tell a noise")
    usual, now = past.times(like), past.times([new.name])
    pairs = {name: (seconds[0], usual[name]) for name, seconds in now.items() if name in usual}
    factor = pace(list(pairs.values()))
    slow = [
        Slow(name, statistics.median(times), seconds, len(times))
        for name, (seconds, times) in pairs.items()
        if is_slower(seconds, times, factor)
    ]
    return Times(tuple(sorted(slow, key=lambda each: each.usual / each.now)), factor)
