"""What `--jobs` would come to on a machine with that many CPUs: the work, divided by the durations of a run.

Usage: python -m benchmarks.jobs [RUN]

RUN is a run of `vexlab test`, by its name or how that begins; without it, the last one that there is. No guest is
started: it is the plan that `--jobs` goes by, held against the durations that it was made from. So it says how well the
checks can be divided, with the time that guests take to start, and nothing of what they take from each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.labs import Bench
from benchmarks.measure import say
from benchmarks.table import Goal, Row, at_least, markdown, missing, seconds
from vexlab.config import stage_list
from vexlab.errors import VexlabError
from vexlab.results import archive, results_file
from vexlab.results.model import Stage, Verdict
from vexlab.run import replan, shares

TITLE = "Several guests at once, by the plan"
JOBS: dict[int, Goal | None] = {2: at_least(1.6), 4: None, 8: None, 16: at_least(8)}
LAB = "jobs"


def planned(stages: Sequence[Stage]) -> list[Row]:
    """The figures for the stages of a run in which one guest did all, or several: durations are of checks."""
    at, *later = replan.since_checkpoint(stage_list.stages())
    there = [stage for stage in stages if stage.name in (at, *later) and stage.checks]
    recorded = {
        f"{stage.name}/{check.name}": check.seconds
        for stage in there
        for check in stage.checks
        if check.verdict is Verdict.PASSED
    }
    whole = [unit for stage in there for unit in shares.units(stage.name, recorded)]
    if not any(unit.stage == at for unit in whole):
        return [missing("the checks after the checkpoint", f"the run has not judged stage {at}")]
    before = sum(stage.seconds for stage in stages if stage not in there)
    took = {jobs: shares.seconds(shares.divide(whole, jobs, at)) for jobs in (1, *JOBS)}
    return [
        seconds(f"the {_checks(there)} checks of {', '.join(stage.name for stage in there)} in one guest", [took[1]]),
        *(_faster(f"in one guest ÷ in {jobs}", took[1] / took[jobs], goal) for jobs, goal in JOBS.items()),
        *(
            _faster(f"with the stages before, in one guest ÷ in {jobs}", (before + took[1]) / (before + took[jobs]))
            for jobs in JOBS
        ),
    ]


def measure(bench: Bench, runs: int) -> list[Row]:
    """The figures for one run of `vexlab test` in one guest."""
    assert bench.prepared
    say("jobs: one run of vexlab test in one guest")
    _, document = bench.stages("test", "--name", LAB, "--jobs", "1")
    bench.vexlab("destroy", "--name", LAB)
    run = bench.scratch / "state" / "vexlab" / "runs" / document["run"]
    return planned(results_file.read(run / archive.RESULTS).stages)


def _checks(stages: Sequence[Stage]) -> int:
    return sum(check.verdict is Verdict.PASSED for stage in stages for check in stage.checks)


def _faster(what: str, figure: float, goal: Goal | None = None) -> Row:
    return Row(what, "times", (figure,), goal)


def main() -> int:
    """Print the table of a run that there is."""
    try:
        directory = archive.find(sys.argv[1] if len(sys.argv) > 1 else None)
        run = results_file.read(directory / archive.RESULTS)
    except VexlabError as problem:
        print(f"benchmarks: {problem.message}", file=sys.stderr)
        return problem.exit_code
    print(markdown(f"{TITLE}, run {run.run}", planned(run.stages)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
