"""How often the known failures of a run failed, over the runs of its target: what fails now and then has a rate."""

from __future__ import annotations

from vexlab.history.past_runs import PastRuns, Tally
from vexlab.results.model import Run, Verdict


def rates(run: Run, past: PastRuns) -> dict[str, Tally]:
    """How often each check that failed in some run as expected did so, of those that this run judged; by stage/check.

    What passes in this run and is listed is among them, if it failed before.
    """
    listed = run.contract.known_failures if run.contract else ()
    names = {
        f"{stage.name}/{check.name}": check.verdict
        for stage in run.stages
        for check in stage.checks
        if check.verdict is Verdict.XFAILED or (check.verdict is Verdict.PASSED and listed)
    }
    of_target = [each.name for each in past.runs() if each.target == run.target]
    expected = {each.check for each in past.history(list(names), of_target) if each.verdict is Verdict.XFAILED}
    return past.tallies([name for name in names if name in expected], of_target)
