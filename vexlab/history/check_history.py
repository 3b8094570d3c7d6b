"""One check over all runs: what it came to in each, how often it failed, and in which interval its rate lies."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from vexlab.config import check_list, check_names
from vexlab.errors import UsageProblem
from vexlab.history.outcomes import FAILS, JUDGED
from vexlab.history.past_runs import Outcome, PastRun, PastRuns
from vexlab.history.statistics import interval


@dataclass(frozen=True)
class CheckHistory:
    """What a check came to, the oldest run first; runs that don't have it are not among them."""

    check: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> int:
        """How often it failed, as expected or not."""
        return sum(each.verdict in FAILS for each in self.outcomes)

    @property
    def judged(self) -> int:
        """How often it was judged; not where it was skipped or not reached."""
        return sum(each.verdict in JUDGED for each in self.outcomes)

    @property
    def rate(self) -> tuple[float, float]:
        """The 95 % interval of the rate at which it fails."""
        return interval(self.failed, self.judged)


def of_names(names: Sequence[str], runs: Sequence[PastRun], past: PastRuns) -> list[CheckHistory]:
    """The histories of the checks that these names mean, as with `--check`, in these runs.

    Raises UsageProblem for a name that no run knows.
    """
    known = past.checks()
    chosen = dict.fromkeys(check for name in names for check in _meant(name, known))
    found: dict[str, list[Outcome]] = {check: [] for check in chosen}
    for outcome in past.history(list(chosen), [run.name for run in runs]):
        found[outcome.check].append(outcome)
    return [CheckHistory(check, tuple(outcomes)) for check, outcomes in found.items() if outcomes]


def _meant(name: str, known: Sequence[str]) -> list[str]:
    """The checks that a name means."""
    of_stage, check = check_list.parts(name)
    by_stage: dict[str, list[str]] = {}
    for each in known:
        stage, _, short = each.partition("/")
        by_stage.setdefault(stage, []).append(short)
    found = [
        f"{stage}/{short}"
        for stage in check_names.meant(of_stage, by_stage)
        for short in check_names.meant(check, by_stage[stage])
    ]
    if not found:
        near = difflib.get_close_matches(name.partition("[")[0], {each.partition("[")[0] for each in known}, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "vexlab checks lists what there is"
        raise UsageProblem(f"no run has a check {name!r}", hint)
    return found
