"""`vexlab test`, stage by stage, and its quick form where there is one."""

from __future__ import annotations

from functools import partial

from benchmarks.labs import Bench
from benchmarks.measure import Contestant, interleave
from benchmarks.table import Row, at_most, missing, ratio, seconds
from vexlab.config import stage_list

LAB = "test"
WHOLE, QUICK, ALONE = "vexlab test", "vexlab test --quick", "vexlab test --quick --jobs 1"
GOAL_OF_STAGES = 7  # the goal of the whole is for so many


class Suite:
    """Runs of `vexlab test`, with the seconds of each stage and the number of its checks."""

    def __init__(self, bench: Bench) -> None:
        """Nothing is run yet."""
        self.bench = bench
        self.stages: dict[str, list[float]] = {}
        self.checks: dict[str, int] = {}

    def whole(self) -> float:
        """Every stage."""
        finished, document = self.bench.stages("test", "--name", LAB)
        for stage in document["stages"]:
            self.stages.setdefault(stage["name"], []).append(float(stage["seconds"]))
            self.checks[stage["name"]] = len(stage["checks"])
        return finished.seconds

    def quick(self, *options: str) -> float:
        """The quick form."""
        return self.bench.stages("test", "--name", LAB, "--quick", *options)[0].seconds


def measure(bench: Bench, runs: int) -> list[Row]:
    """`vexlab test` as a whole and by stages."""
    assert bench.prepared
    suite = Suite(bench)
    contestants = [Contestant(WHOLE, suite.whole)]
    helped = bench.vexlab("test", "--help").stdout
    has_quick, has_jobs = "--quick" in helped, "--jobs" in helped
    if has_quick:
        contestants.append(Contestant(QUICK, suite.quick))
    if has_jobs:
        contestants.append(Contestant(ALONE, partial(suite.quick, "--jobs", "1")))
    times = interleave(contestants, runs)
    bench.vexlab("destroy", "--name", LAB)
    count = len(stage_list.stages())
    whole = f"`vexlab test`, all {count} stages"
    goal = at_most(150) if count >= GOAL_OF_STAGES else None
    remark = "" if goal else f"the goal, ≤ 150 s, is for {GOAL_OF_STAGES} stages"
    return [
        seconds(whole, times[WHOLE], goal, remark),
        *(seconds(f"stage {name}, {suite.checks[name]} checks", samples) for name, samples in suite.stages.items()),
        seconds("`vexlab test --quick`", times[QUICK], at_most(60))
        if has_quick
        else missing("`vexlab test --quick`", "this vexlab has no such option"),
        ratio("`vexlab test --quick --jobs 1` ÷ without it", times[ALONE], times[QUICK])
        if has_jobs
        else missing("`--jobs`", "this vexlab has no such option"),
    ]
