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
from vexlab.results.model import WRONG, DeviceRecord, Machine, Reruns, Run, SourceRecord, Stage, Verdict
from vexlab.run import replan, reruns, run_facts, timeline
from vexlab.run.executions import Executions
from vexlab.run.forks import Forks
from vexlab.run.playbook_run import PlaybookRun
from vexlab.run.replan import Choice, ExecutionResult, Plan
from vexlab.run.run_directory import new_directory
from vexlab.run.shares import Share

FORK = "fork-"  # and a number: the directory of what another guest judges, in that of the run
NOT_SEEN = "its checks passed, and then this machine failed"  # nobody knows what the guest was about to do
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
        shares: Sequence[Share] = (),
    ) -> None:
        """Prepare the run's directory; nothing is started.

        `device`: what is tested, on test hardware, instead of an image in a guest. `applied`: stages that are brought
        about without being judged. `choices`: which checks of a stage are judged, where not all are, and `chosen` the
        names by which they were asked for. `checkpoint` names what is brought about, for the guest to be saved
        under; empty for a guest that isn't saved. `jobs`: how many guests may be at work at once. `shares`: what each
        of them judges of the stages since then, where that is shared; the first is that of the lab's own guest.
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
        self._jobs = jobs
        self._shares = tuple(shares)
        own = {**self._choices, **(self._shares[0] if self._shares else {})}
        self._executions = Executions(lab, settings, progress, self.directory, checkpoint=checkpoint, choices=own)
        self._forks = Forks(lab, settings, self.directory, checkpoint)
        self._again = Forks(lab, settings, self.directory, checkpoint)
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
        keep_going: bool = False, leaves: bool = False, again: int = 0, until_failure: float = 0.0,
        take_down: Callable[[], str] | None = None, advise: Callable[[Run], Mapping[str, str]] | None = None,
    ) -> Run:  # fmt: skip
        """Run the playbook, judge what was seen, write the results. Problems before the first stage are raised.

        Failed checks don't end it, unless `fail_fast`: then the first stage that didn't pass does. `keep_going`: go on
        after a role that failed or a guest that died with what doesn't need it. `leaves`: end at the first check that
        fails, and leave the guest as that has it. `until_failure`: when all has passed, run it again and again, until
        something goes wrong or so many seconds are over. `again`: run the first check that went wrong so many times
        more. `take_down`: called at the end if a stage began, whatever came of it; tells what could not be taken down,
        and a run that leaves something has not passed. `advise`: called with the judged run at its end; gives advice on
        checks, by stage/check.
        """
        self._applied = apply
        if apply:
            self._source = run_facts.source_of(self._settings)  # what is only judged may be of another source
            recovery.remember(self._lab, self._settings.contract)
        self._write(self._run(None))
        try:
            plan = Plan(
                playbook, self._own_stages(), self._unjudged, apply=apply, clean=clean, fail_fast=fail_fast or leaves,
                choices=self._executions.choices, checkpoint=self._checkpoint, leaves=leaves,
                shared=frozenset(self._stages_in_forks()),
            )  # fmt: skip
            problem = self._executions.first(plan, self._after_stage_of(plan), self._begin_forks)
            if problem is None:
                self._continue(plan, keep_going=keep_going, until_failure=until_failure)
            self._take_down(take_down)
            run = self._run(None)
            if again and (problem is None or self.began) and not self._machine_failed():
                self._run_again(run, again, beside=not until_failure)
            if advise is not None and self.began and not self._machine_failed():
                self._advice = advise(run)
        except (Interrupted, KeyboardInterrupt):
            self._executions.left = "interrupted"
            self._end_forks()
            if self.left_behind is None:
                self._take_down(take_down)
            self._write(self._run(datetime.now(UTC), keep_going=keep_going))
            raise Interrupted("interrupted", self._seen_so_far) from None
        except Exception:
            if self.left_behind is None:  # whatever went wrong here, what was brought about there is taken down
                self._take_down(take_down)
            raise
        finally:
            self._end_forks()
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

    def _stages_in_forks(self) -> set[str]:
        """The stages of which other guests judge something."""
        return {stage for share in self._shares[1:] for stage in share}

    def _own_stages(self) -> tuple[str, ...]:
        """The stages of which the lab's own guest judges something."""
        own = self._shares[0] if self._shares else {}
        return tuple(name for name in self._selected if name in own or name not in self._stages_in_forks())

    def _begin_forks(self) -> None:
        """Begin what is judged in other guests, now that there is one to go on from."""
        shares = {f"{FORK}{number}": share for number, share in enumerate(self._shares[1:], 1)}
        self._forks.begin(shares, len(shares))

    def _end_forks(self) -> None:
        """End what goes on in other guests."""
        for forks in (self._forks, self._again):
            forks.end()

    def _continue(self, plan: Plan, *, keep_going: bool, until_failure: float) -> None:
        """Do what comes after the first execution, of what was asked for."""
        if keep_going:
            self._go_on()
        if until_failure:
            self._run_until_failure(plan, until_failure)

    def _go_on(self) -> None:
        """Execute what is left for the lab's own guest, and what other guests did not come to."""
        problem = None
        if self._forks.begun:
            problem = self._executions.go_on(self._own_stages())
            self._forks.wait(self._progress, "forks")
        if problem is None:
            self._executions.choose(self._choices)
            self._executions.go_on(self._selected, self._forks.results(), self._incomplete())
        if self._forks.begun:
            known, shared = self._known(), self._stages_in_forks()
            for name in (name for name in self._selected if name in shared and name in known):
                self._progress.stage(known[name])

    def _incomplete(self) -> set[str]:
        """The stages of which a guest was to judge something that nobody has judged."""
        left = self._forks.unjudged() if self._forks.begun else self._stages_in_forks()
        return left - self._executions.completed

    def _machine_failed(self) -> VexlabError | None:
        """What this machine failed with, which says nothing about the filesystem."""
        forked = self._forks.machine_problem() or self._again.machine_problem()
        return self._executions.machine_problem or forked

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

    def _run_again(self, run: Run, times: int, *, beside: bool) -> None:
        """Run the first check that went wrong again; `beside`: in guests that go on from the saved one, if one was."""
        found = replan.first_failed_check(run)
        if found is None:
            if run.verdict is not Verdict.PASSED:
                self._progress.say("nothing is run again: it was no check that went wrong")
            return
        stage, check = found
        if beside and self._executions.saved and stage.name in replan.since_checkpoint(self._specs):
            verdicts = reruns.in_forks(
                self._again, stage.name, check.name, self._progress, times=times, at_once=self._jobs
            )
        else:
            verdicts = reruns.one_by_one(self._executions, self._lab, stage.name, check, self._progress, times=times)
        for verdict in verdicts:
            self._reruns = reruns.counted(self._reruns, f"{stage.name}/{check.name}", verdict in WRONG)

    # --- judging and writing

    def _seen(self) -> list[ExecutionResult]:
        """What each execution showed, those aside that only ran a check again."""
        return [*self._executions.seen(), *self._forks.results()]

    def _known(self) -> dict[str, Stage]:
        """What is known of the stages that began; one of which nobody has judged all has not passed."""
        known = replan.merged(self._seen())
        return known | {name: replan.without_all(known[name]) for name in self._incomplete() if name in known}

    def _run(self, finished: datetime | None, *, keep_going: bool = False) -> Run:
        known, guest = self._known(), run_facts.guest_of(self._lab, self._settings)
        stages = [known.get(spec.name) or self._unreached(spec) for spec in self._specs]
        if failed := self._machine_failed():
            self._executions.left = failed.message
        if failed or (keep_going and any(stage.verdict is not Verdict.PASSED for stage in known.values())):
            stages = [stage if stage.name in known else self._explained(stage, known) for stage in stages]
        if failed and judging.judge_run(stages, self._selected) is Verdict.PASSED:
            stages = replan.fail_last(stages, self._selected, f"{NOT_SEEN}: {failed.message}", Verdict.NOT_RUN)
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
        return [*(part.directory for part in self._parts), *self._forks.directories, *self._again.directories]

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
