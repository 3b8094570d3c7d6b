"""How long checks took, as earlier runs have it."""

from __future__ import annotations

import statistics

from vexlab.history.past_runs import PastRuns

RUNS = 10  # the last ones, of which the median is taken


def recorded(target: str, past: PastRuns) -> dict[str, float]:
    """The seconds that each check takes, by its full name: in the last runs of this target, else of any.

    Of these, those count that were on such a guest as the newest, and were asked to do as much.
    """
    finished = [run for run in past.runs() if run.finished]
    of_target = [run for run in finished if run.target == target] or finished
    chosen = [run.name for run in of_target if run.conditions == of_target[-1].conditions]
    times = past.times(chosen[-RUNS:])
    return {check: statistics.median(seconds) for check, seconds in times.items()}
