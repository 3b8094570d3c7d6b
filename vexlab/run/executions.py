"""The executions of a playbook that judge some stages: the first, and those after something went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from vexlab.config import stage_list
from vexlab.config.settings import Settings
from vexlab.errors import Interrupted, VexlabError
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.model import DIED, WRONG
from vexlab.run import replan
from vexlab.run.plain_playbooks import end_guest
from vexlab.run.playbook_run import PlaybookRun
from vexlab.run.replan import Choice, ExecutionResult, Plan

RERUN, AGAIN = "rerun-", "again-"  # of the directories of executions that run something again
LOST_SECONDS = 300.0  # that guests took which died, beside the checks that were judged on them; then none is started
GOING_ON_SECONDS = 3600.0  # from the first guest that died on, whatever was judged meanwhile


class Executions:
    """One execution after the other in one lab; each has a directory of its own within that of the run."""

    def __init__(
        self, lab: Lab, settings: Settings, progress: Progress, root: Path, *, name: str = "", checkpoint: str = "",
        choices: Mapping[str, Choice] | None = None,
    ) -> None:  # fmt: skip
        """Prepare; nothing is started.

        `root` is the directory of the run, `name` that of the first execution in it; empty for the run's own.
        `checkpoint` names what is brought about, for the guest to be saved under; empty for a guest that isn't saved.
        `choices`: which checks of a stage are judged, where not all are.
        """
        self.parts: list[PlaybookRun] = []
        self.left = ""  # why what could have been run on another guest was not
        self.failed_again: PlaybookRun | None = None
        self.completed: set[str] = set()  # stages of which something was judged here that was to be judged elsewhere
        self._died: float | None = None  # when the first guest had to be replaced, by the monotonic clock
        self._lost = 0.0  # seconds that came to no verdict since then
        self._lab = lab
        self._settings = settings
        self._progress = progress
        self._root = root
        self._name = name
        self._checkpoint = checkpoint
        self._choices = dict(choices or {})
        self._specs = stage_list.stages()

    @property
    def saved(self) -> str:
        """The directory in which the guest was saved; empty when it wasn't."""
        return next((part.checkpoint for part in self.parts if part.checkpoint), "")

    @property
    def machine_problem(self) -> VexlabError | None:
        """What this machine failed with in the last execution, which says nothing about the filesystem."""
        return self.parts[-1].problem() if self.parts and self.parts[-1].machine_failed else None

    def seen(self) -> list[ExecutionResult]:
        """What each execution showed, those aside that only ran a check again.

        What went wrong when all was run again comes first: it is worse than what was seen before.
        """
        parts = [part for part in self.parts if not self._is_aside(part)]
        return [part.seen() for part in ([self.failed_again] if self.failed_again else []) + parts]

    def again(self, plan: Plan, number: int) -> VexlabError | None:
        """Execute once more on the same guest what has passed; returns what kept it from beginning."""
        problem = self.further(plan, f"{AGAIN}{number}")
        if problem is None and any(stage.verdict in WRONG for stage in self.parts[-1].seen().stages.values()):
            self.failed_again = self.parts[-1]
        return problem

    def first(
        self, plan: Plan, on_stage: Callable[[], None], on_checkpoint: Callable[[], None] = lambda: None
    ) -> VexlabError | None:
        """Execute the first plan; returns what kept its first stage from beginning.

        `on_stage` is called after each stage of any execution, `on_checkpoint` when the guest was saved.
        """
        self._on_stage, self._on_checkpoint = on_stage, on_checkpoint
        return self._perform(plan, self._root / self._name)

    @property
    def choices(self) -> Mapping[str, Choice]:
        """Which checks of a stage are judged, where not all are."""
        return self._choices

    def choose(self, choices: Mapping[str, Choice]) -> None:
        """From now on, judge these checks."""
        self._choices = dict(choices)

    def go_on(
        self, selected: Sequence[str], also_seen: Sequence[ExecutionResult] = (), incomplete: Collection[str] = ()
    ) -> VexlabError | None:
        """Execute what nothing holds back of these stages until nothing is left; returns what kept one from beginning.

        `also_seen`: what was shown elsewhere. `incomplete`: stages of which some checks were to be judged elsewhere.
        """
        left = set(incomplete)
        while plan := replan.next_plan(self._specs, selected, [*also_seen, *self.seen()], self._choices, left):
            if plan.fresh:
                self._died = self._died or time.monotonic()
                if why := no_other_guest(self._lost, time.monotonic() - self._died):
                    self.left = why
                    self._progress.say(f"{', '.join(plan.judged)}: {why}")
                    return None
            where = "on a pristine guest" if plan.fresh else "on the same guest"
            self._progress.say(f"going on {where} with {', '.join(plan.judged)}")
            number = sum(not self._is_aside(part) for part in self.parts) + 1
            prefix = f"{self._name}-" if self._name else ""
            began = time.monotonic()
            problem = self.further(plan, f"{prefix}part-{number}")
            self._lost += max(0.0, time.monotonic() - began - judged_seconds(self.parts[-1].seen()))
            if problem is not None:
                self.left = problem.message
                self._progress.say(f"it is not possible to go on: {problem.message}")
                return problem
            done = left & self.parts[-1].seen().stages.keys()
            self.completed |= done
            left -= done
        return None

    def further(self, plan: Plan, name: str) -> VexlabError | None:
        """Execute what comes after the first execution, on the guest that was saved in it where that does."""
        is_saved = self.saved or any(part.plan.goes_on for part in self.parts)
        quicker = replan.from_checkpoint(self._specs, plan, self._checkpoint if is_saved else "")
        if quicker is not None:
            problem = self._perform(quicker, self._root / name)
            if problem is None or self.machine_problem is not None:
                return problem
            self.parts.pop()
            self._checkpoint = ""
            self._progress.say(f"{problem.message}; all is brought about anew")
        return self._perform(plan, self._root / name)

    def _is_aside(self, part: PlaybookRun) -> bool:
        """Whether an execution only ran something again, beside what these executions are for."""
        return part.directory.name != self._name and part.directory.name.startswith((RERUN, AGAIN))

    def _perform(self, plan: Plan, directory: Path) -> VexlabError | None:
        """Execute a plan; returns what kept its first stage from beginning."""
        directory.mkdir(mode=0o700, exist_ok=True)
        if plan.fresh and self._lab.is_up():
            try:
                end_guest(self._lab, "stopped", directory / "ansible.log")
            except Interrupted:
                raise
            except VexlabError as problem:
                return problem
        part = PlaybookRun(
            self._lab, self._settings, plan, root=self._root, directory=directory, progress=self._progress
        )
        self.parts.append(part)
        part.execute(self._on_stage, self._on_checkpoint)
        return part.problem()


def no_other_guest(lost: float, since: float) -> str:
    """Why no other guest is started in the place of one that died; empty where one is.

    `lost` are the seconds that came to no verdict since the first death, `since` are all of them.
    """
    if lost > LOST_SECONDS:
        return f"guests died again and again, which took {LOST_SECONDS / 60:.0f} minutes beside what was judged"
    if since > GOING_ON_SECONDS:
        return f"guests died, and the {GOING_ON_SECONDS / 60:.0f} minutes for going on after that were over"
    return ""


def judged_seconds(seen: ExecutionResult) -> float:
    """Seconds that the checks took which came to a verdict."""
    return sum(check.seconds for stage in seen.stages.values() for check in stage.checks if check.verdict not in DIED)
