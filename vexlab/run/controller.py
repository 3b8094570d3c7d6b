"""One pass over stages: executed, gone on with after something went wrong, judged, written down, sealed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vexlab import __version__
from vexlab.config import atomic_file, stage_list, suite_hash
from vexlab.config.settings import Settings
from vexlab.config.stage_list import StageSpec
from vexlab.errors import HostProblem, Interrupted, VexlabError
from vexlab.gate import evidence, promotion
from vexlab.guest import debugger, recovery
from vexlab.guest.lab import Lab, name_option
from vexlab.report import junit_file, markdown, page
from vexlab.report.terminal import Progress
from vexlab.results import judging, logs, results_file
from vexlab.results.model import (
    DIED,
    WRONG,
    DeviceRecord,
    Machine,
    Reruns,
    Run,
    SourceRecord,
    Stage,
    Verdict,
)
from vexlab.run import replan, run_facts, timeline
from vexlab.run.executions import Executions
from vexlab.run.forks import Forks
from vexlab.run.playbook_run import PlaybookRun
from vexlab.run.replan import Choice, ExecutionResult, Plan
from vexlab.run.run_directory import new_directory

NOT_TAKEN_DOWN = "its checks passed, and afterwards it could not be taken down; recover.log says why"


class RunController:
    """One pass over stages. Use once: `execute` returns the judged run.

    It is one execution of a playbook. When one of its stages goes wrong there may be more: for the stages that need
    nothing of it, and to run again what went wrong. Each has a directory of its own within that of the run.
    """

    def __init__(
        self,
        lab: Lab,
        settings: Settings,
        selected: Sequence[str],
        progress: Progress,
        *,
        device: DeviceRecord | None = None,
        applied: Sequence[str] = (),
        choices: Mapping[str, Choice] | None = None,
        chosen: Sequence[str] = (),
        checkpoint: str = "",
        jobs: int = 1,
    ) -> None:
        """Prepare the run's directory; nothing is started.

        `device`: what is tested, on test hardware, instead of an image in a guest. `applied`: stages that are brought
        about without being judged. `choices`: which checks of a stage are judged, where not all are, and `chosen` the
        names by which they were asked for. `checkpoint` names what is brought about, for the guest to be saved
        under; empty for a guest that isn't saved. `jobs`: how many guests may be at work at once.
        """
        self.directory = new_directory(lab.name)
        self._lab = lab
        self._settings = settings
        self._selected = tuple(selected)
        self._progress = progress
        self._specs = stage_list.stages()
        self._reruns: Reruns | None = None
        self._advice: Mapping[str, str] = {}
        self._device = device
        self._unjudged = tuple(applied)
        self._choices = dict(choices or {})
        self._checkpoint = checkpoint
        self._executions = Executions(
            lab, settings, progress, self.directory, checkpoint=checkpoint, choices=self._choices
        )
        self._forks = Forks(lab, settings, self.directory, checkpoint)
        self._beside = replan.beside(self._specs, self._selected, jobs) if checkpoint else ()
        self._chosen = tuple(chosen)
        self._applied = False
        self._source: SourceRecord | None = None
        self._started = datetime.now(UTC)
        machine = Machine.HARDWARE if device else Machine.VM
        self._contract = run_facts.write_contract(self.directory, settings.contract, machine)
        self.left_behind: str | None = None  # what could not be taken down; None before that was tried

    def changed_stages(self) -> list[str]:
        """Names of the stages whose role changed something."""
        return [name for part in self._parts for name, stage in part.stages.items() if stage.changed]

    @property
    def checkpoint(self) -> str:
        """The directory in which the guest was saved; empty when it wasn't."""
        return self._executions.saved

    @property
    def _seen_so_far(self) -> str:
        """Where a person reads what was seen before the run was cut off."""
        return f"vexlab report {self.directory.name} tells what was seen so far"

    @property
    def _parts(self) -> list[PlaybookRun]:
        return self._executions.parts

    @property
    def began(self) -> bool:
        """Whether a stage began, so that there may be something to take down."""
        return bool(self._parts) and self._parts[0].began

    def execute(
        self, playbook: str, *, apply: bool = True, clean: bool = False, fail_fast: bool = False,
        keep_going: bool = False, leaves: bool = False, reruns: int = 0, until_failure: float = 0.0,
        take_down: Callable[[], str] | None = None, advise: Callable[[Run], Mapping[str, str]] | None = None,
    ) -> Run:  # fmt: skip
        """Run the playbook, judge what was seen, write the results. Problems before the first stage are raised.

        Failed checks don't end it, unless `fail_fast`: then the first stage that didn't pass does. `keep_going`: go on
        after a role that failed or a guest that died with what doesn't need it. `leaves`: end at the first check that
        fails, and leave the guest as that has it. `until_failure`: when all has passed, run it again and again, until
        something goes wrong or so many seconds are over. `reruns`: run the first check that went wrong so many times
        again. `take_down`: called at the end if a stage began, whatever came of it;
        tells what could not be taken down, and a run that leaves something has not passed. `advise`: called with the
        judged run at its end; gives advice on checks, by stage/check.
        """
        self._applied = apply
        if apply:
            self._source = run_facts.source_of(self._settings)  # what is only judged may be of another source
            recovery.remember(self._lab, self._settings.contract)
        self._write(self._run(None))
        try:
            plan = Plan(
                playbook, tuple(name for name in self._selected if name not in self._beside), self._unjudged,
                apply=apply, clean=clean, fail_fast=fail_fast or leaves, choices=self._choices,
                checkpoint=self._checkpoint, leaves=leaves,
            )  # fmt: skip
            problem = self._executions.first(plan, self._after_stage_of(plan), self._begin_forks)
            if problem is None:
                self._continue(plan, keep_going=keep_going, until_failure=until_failure)
            self._take_down(take_down)
            run = self._run(None)
            if reruns and (problem is None or self.began) and not self._machine_failed():
                self._run_again(run, reruns)
            if advise is not None and self.began and not self._machine_failed():
                self._advice = advise(run)
        except (Interrupted, KeyboardInterrupt):
            self._executions.left = "interrupted"
            self._forks.end()
            if self.left_behind is None:
                self._take_down(take_down)
            self._write(self._run(datetime.now(UTC), keep_going=keep_going))
            raise Interrupted("interrupted", self._seen_so_far) from None
        except Exception:
            if self.left_behind is None:  # whatever went wrong here, what was brought about there is taken down
                self._take_down(take_down)
            raise
        finally:
            self._forks.end()
        failed = self._machine_failed()
        run = self._run(datetime.now(UTC), keep_going=keep_going)
        try:
            self._write(run)
        except HostProblem as unwritten:
            raise failed or unwritten from None
        if failed is not None:
            raise HostProblem(failed.message, f"{failed.hint}; {self._seen_so_far}")
        if problem is not None and not self.began:
            raise problem
        return run

    # --- executing

    def _after_stage_of(self, plan: Plan) -> Callable[[], None]:
        """What is done after each stage of a plan: what was seen is written down.

        Of a guest that is to be left as it is, so is what a debugger needs when it is dead.
        """

        def write() -> None:
            if plan.leaves:
                debugger.note(self._lab)
            self._write(self._run(None))

        return write

    def _begin_forks(self) -> None:
        """Begin the stages that are judged beside the others, now that there is a guest to go on from."""
        self._forks.begin(self._beside)

    def _continue(self, plan: Plan, *, keep_going: bool, until_failure: float) -> None:
        """Do what comes after the first execution, of what was asked for."""
        if keep_going:
            self._go_on()
        if until_failure:
            self._run_until_failure(plan, until_failure)

    def _go_on(self) -> None:
        """Execute what is left for this lab's guest, and what the stages beside it did not come to."""
        if not self._forks.stages and self._beside:  # the guest could not be saved
            self._beside = ()
        problem = self._executions.go_on([name for name in self._selected if name not in self._beside])
        if self._beside:
            self._forks.wait(self._progress)
            if problem is None:
                self._executions.go_on(self._selected, self._forks.results())

    def _machine_failed(self) -> VexlabError | None:
        """What this machine failed with, which says nothing about the filesystem."""
        return self._executions.machine_problem or self._forks.machine_problem()

    def _take_down(self, take_down: Callable[[], str] | None) -> None:
        """What was refused before its first stage has nothing to be taken down, and what is there is not ours."""
        if take_down is not None and self.began:
            self.left_behind = take_down()

    def _run_until_failure(self, plan: Plan, seconds: float) -> None:
        """Run what has passed again on the same guest, until something goes wrong or the time is over."""
        deadline, times = time.monotonic() + seconds, 0
        plan = dataclasses.replace(plan, playbook="stages", applied=(), apply=False, clean=False, fail_fast=True)
        while self._run(None).verdict is Verdict.PASSED and time.monotonic() < deadline:
            self._progress.say(f"all has passed {times + 1} times; run {times + 2} begins")
            if (problem := self._executions.again(plan, times + 1)) is not None:
                self._progress.say(f"it could not be run again: {problem.message}")
                return
            times += 1
        run = self._run(None)
        found = replan.first_failed_check(run)
        if run.verdict is Verdict.PASSED:
            self._progress.say(replan.never_failed(times + 1, seconds))
        elif found is not None and times:
            self._reruns = Reruns(f"{found[0].name}/{found[1].name}", times + 1, 1)

    def _run_again(self, run: Run, times: int) -> None:
        """Run the first check that went wrong again, on pristine guests if it took its guest down."""
        found = replan.first_failed_check(run)
        if found is None:
            if run.verdict is not Verdict.PASSED:
                self._progress.say("nothing is run again: it was no check that went wrong")
            return
        stage, check = found
        before = self._reruns or Reruns("", 0, 0)
        failed = before.failed
        for number in range(1, times + 1):
            self._progress.say(f"run {number} of {times} of {stage.name}/{check.name} again")
            fresh = check.verdict in DIED or self._parts[-1].seen().guest_died or not self._lab.is_up()
            plan = replan.rerun_plan(self._specs, stage.name, check.name, fresh=fresh)
            problem = self._executions.further(plan, f"rerun-{number}")
            again = self._parts[-1].seen().stages.get(stage.name)
            result = next((c.verdict for c in again.checks if c.name == check.name), None) if again else None
            if problem is not None or result in (None, Verdict.NOT_RUN):
                why = problem.message if problem else again.reason if again else "its stage was not reached"
                self._progress.say(f"{check.name} could not be run again: {why}")
                break
            failed += result in WRONG
            self._reruns = Reruns(f"{stage.name}/{check.name}", before.of + number, failed)

    # --- judging and writing

    def _seen(self) -> list[ExecutionResult]:
        """What each execution showed, those aside that only ran a check again."""
        return [*self._forks.results(), *self._executions.seen()]

    def _run(self, finished: datetime | None, *, keep_going: bool = False) -> Run:
        known, guest = replan.merged(self._seen()), run_facts.guest_of(self._lab, self._settings)
        stages = [known.get(spec.name) or self._unreached(spec) for spec in self._specs]
        if failed := self._machine_failed():
            self._executions.left = failed.message
        if failed or (keep_going and any(stage.verdict is not Verdict.PASSED for stage in known.values())):
            stages = [stage if stage.name in known else self._explained(stage, known) for stage in stages]
        if self.left_behind:
            stages = replan.fail_last(stages, self._selected, NOT_TAKEN_DOWN)
        return Run(
            run=self.directory.name,
            verdict=judging.judge_run(stages, self._selected),
            target=self._settings.target_name,
            started=self._started.isoformat(timespec="seconds"),
            finished=finished.isoformat(timespec="seconds") if finished else None,
            suite_version=__version__,
            module=run_facts.module_of(self._parts, self._lab, self._settings),
            guest=guest,
            stages=tuple(replan.with_advice(replan.with_reruns(stage, self._reruns), self._advice) for stage in stages),
            evidence=run_facts.evidence_of(self._directories(), self.directory, finished=finished is not None),
            selected=self._selected,
            reruns=self._reruns,
            machine=Machine.HARDWARE if self._device else Machine.VM,
            device=self._device,
            kernel=guest.kernel if guest else run_facts.kernel_of_build(self._parts),
            suite=suite_hash.suite(),
            applied=self._applied,
            amounts=run_facts.amounts_of(self._settings),
            contract=self._contract,
            chosen=self._chosen,
            source=self._source,
        )

    def _directories(self) -> list[Path]:
        """The directories of all executions, the run's own first."""
        return [*(part.directory for part in self._parts), *self._forks.directories]

    def _unreached(self, spec: StageSpec) -> Stage:
        """A stage that did not begin: skipped when the target has no such stage, else not run."""
        reason = spec.why_not(self._settings.contract)
        return Stage(spec.name, Verdict.SKIPPED if reason else Verdict.NOT_RUN, reason=reason)

    def _explained(self, stage: Stage, known: dict[str, Stage]) -> Stage:
        """A stage that was not reached, with the reason, if it was asked for."""
        if stage.name not in self._selected:
            return stage
        return Stage(stage.name, reason=replan.why_not_run(self._specs, stage.name, known, self._executions.left))

    def _write(self, run: Run) -> None:
        """Write the results; of a run that is over also its reports, and the seal on its evidence."""
        results_file.write(self.directory / "results.json", run)
        if run.finished is not None:
            junit_file.write_junit(run, self.directory / "junit.xml", self.directory)
            evidence.seal(self.directory, run)
            traces, decision = logs.traces(self.directory), promotion.about(run)
            options = name_option(self._lab.name)
            text = markdown.render_markdown(run, options, decision, traces)
            atomic_file.replace_file(self.directory / "report.md", text)
            page.write(run, self.directory, page.Around(options, decision, timeline.read(self.directory)))
