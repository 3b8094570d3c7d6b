"""One check, run again: how often it goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

from vexlab.config import stage_list
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.model import DIED, Check, Reruns, Stage, Verdict
from vexlab.run import replan
from vexlab.run.executions import RERUN, Executions
from vexlab.run.forks import Forks
from vexlab.run.replan import Choice


def in_forks(
    forks: Forks, stage: str, check: str, progress: Progress, *, times: int, at_once: int
) -> Iterator[Verdict]:  # fmt: skip
    """Run a check so many times, each time in a guest of its own that goes on from the one that was saved."""
    beside = f", {at_once} at once" if min(at_once, times) > 1 else ""
    progress.say(f"{stage}/{check} is run {times} times again, each time in a guest of its own{beside}")
    share = {stage: Choice(only=(check,))}
    forks.begin({f"{RERUN}{number}": share for number in range(1, times + 1)}, at_once, goes_on=False)
    forks.wait(progress, "reruns")
    for name, answer in forks.answers().items():
        verdict = _verdict(answer.stages.get(stage), check)
        if verdict is not None:
            yield verdict
        elif not answer.problem:
            progress.say(f"{name.replace('-', ' ')}: {_why_not(answer.stages.get(stage))}")


def one_by_one(
    executions: Executions, lab: Lab, stage: str, check: Check, progress: Progress, *, times: int
) -> Iterator[Verdict]:  # fmt: skip
    """Run a check so many times on the lab's guest, or each time on a pristine one if it took its guest down."""
    for number in range(1, times + 1):
        progress.say(f"run {number} of {times} of {stage}/{check.name} again")
        fresh = check.verdict in DIED or executions.parts[-1].seen().guest_died or not lab.is_up()
        plan = replan.rerun_plan(stage_list.stages(), stage, check.name, fresh=fresh)
        problem = executions.further(plan, f"{RERUN}{number}")
        again = executions.parts[-1].seen().stages.get(stage)
        verdict = None if problem else _verdict(again, check.name)
        if verdict is None:
            progress.say(f"{check.name} could not be run again: {problem.message if problem else _why_not(again)}")
            return
        yield verdict


def counted(before: Reruns | None, name: str, failed: bool) -> Reruns:
    """The numbers with one run more of the check of this name."""
    known = before or Reruns(name, 0, 0)
    return Reruns(name, known.of + 1, known.failed + failed)


def _verdict(stage: Stage | None, check: str) -> Verdict | None:
    """What a check came to in a stage; None when it did not run."""
    found = next((each.verdict for each in stage.checks if each.name == check), None) if stage else None
    return None if found is Verdict.NOT_RUN else found


def _why_not(stage: Stage | None) -> str:
    return stage.reason if stage else "its stage was not reached"
