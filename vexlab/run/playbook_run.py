"""One execution of a playbook with stages: its events are consumed here, and what a new state asks for is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty
from typing import IO, Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import image_copy

from vexlab.config import stage_list
from vexlab.config.settings import Settings
from vexlab.errors import GuestProblem, HostProblem, Interrupted, UsageProblem, VexlabError, write_problem
from vexlab.guest import console_log, forensics, symbols
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.guest.lab import Lab, name_option
from vexlab.guest.watch import Watch
from vexlab.report.terminal import Progress
from vexlab.results.stage_record import StageRecord
from vexlab.run import events, replan, tracker
from vexlab.run.events import REQUEST, Clock, Event, Events, Interruption, RunEnded, TaskStarted, WatchClosed
from vexlab.run.examination import Examination
from vexlab.run.playbook import Playbook
from vexlab.run.replan import ExecutionResult, Plan, planned_stages
from vexlab.run.run_display import RunDisplay
from vexlab.run.stage_judge import StageJudge
from vexlab.run.tracker import StageProgress, State

TOLD_SECONDS = 2.0  # for the watch to tell of a death that made a task fail
SILENCE_SECONDS = 5.0  # and to say why a guest did not answer
BROKEN_OFF = MachineProblem("Ansible ended before it was done", "was it killed? vexlab logs ansible has its last words")


class PlaybookRun:
    """One execution. Use once: after `execute`, `seen` tells what it showed.

    `directory` gets its logs and the evidence of its stages; it is `root`, the directory of the run, or one in it.
    """

    def __init__(
        self, lab: Lab, settings: Settings, plan: Plan, *, root: Path, directory: Path, progress: Progress
    ) -> None:
        """Prepare; nothing is started."""
        self.directory = directory
        self.plan = plan
        self._root = root
        self._lab = lab
        self._settings = settings
        self._progress = progress
        self._on_stage: Callable[[], None] = lambda: None
        self._on_checkpoint = self._on_stage
        self._state = State(planned_stages(plan, settings.contract), guest_is_new=plan.fresh)
        self._queue = Events()
        self._watch: Watch | None = None
        self._log: IO[bytes] | None = None
        self._broken_off = False  # Ansible ended, and no task of it had failed
        build = f"{settings.contract['vexlab_work_directory']}/build"
        source = Path(settings.source) if settings.source else None
        module = str(settings.contract["vexlab_module_name"])
        self._judge = StageJudge(
            plan, root, directory, build, source, lambda text: symbols.with_places(text, lab.module_file, module, build)
        )
        self._display = RunDisplay(progress, lab, directory, lambda: self._state)
        self._examination = Examination(
            lab, settings, root=root, directory=directory, creates_guest=plan.playbook == "up"
        )

    def execute(self, on_stage: Callable[[], None], on_checkpoint: Callable[[], None] = lambda: None) -> None:
        """Run the playbook. Ctrl-C raises Interrupted, with the rest done.

        `on_stage` is called after each stage, `on_checkpoint` when the guest was saved.
        """
        self._on_stage, self._on_checkpoint = on_stage, on_checkpoint
        for stage, choice in self.plan.choices.items():
            StageRecord(self.directory, stage).choose(only=choice.only, leave_out=choice.leave_out)
        for stage in self.plan.judged if self.plan.leaves else ():
            StageRecord(self.directory, stage).hold("leave", is_patient=False)
        variables = {
            "vexlab_run_directory": str(self.directory),
            "vexlab_stages": [stage.name for stage in self._state.planned],
            "vexlab_only_applied": list(self.plan.applied),
            "vexlab_apply": self.plan.apply,
            "vexlab_clean": self.plan.clean,
            "vexlab_fail_fast": self.plan.fail_fast,
            "vexlab_checkpoint": self.plan.checkpoint,
            "vexlab_checkpoint_stage": replan.saved_at(
                stage_list.stages(), [stage.name for stage in self._state.planned]
            ),
            "vexlab_from_checkpoint": self.plan.goes_on,
        }
        log = self.directory / "ansible.log"
        self._progress.follow(log)
        playbook = Playbook(self.plan.playbook, self._lab, variables, log)
        with (self.directory / "events.jsonl").open("ab", buffering=0) as self._log:
            try:
                outcome = playbook.run(self._take, self._queue)
                self._broken_off = not outcome.ok and outcome.failure is None
            except Interrupted:
                if self._state.end is None:  # no signal: the terminal was gone
                    self._happened(Interruption())
                raise
            except HostProblem as problem:
                self._happened(MachineProblem(problem.message, problem.hint))
            finally:
                self._settle()

    @property
    def stages(self) -> Mapping[str, StageProgress]:
        """The stages that began, in their order."""
        return self._state.stages

    @property
    def build(self) -> Mapping[str, Any]:
        """What role vexfs_build told of what it built; empty when it didn't."""
        return self._state.build

    @property
    def checkpoint(self) -> str:
        """The directory in which the guest was saved; empty when it wasn't."""
        return self._state.checkpoint

    @property
    def machine_failed(self) -> bool:
        """Whether the machine's failing ended the execution, which says nothing about the filesystem."""
        return self._state.machine_problem is not None

    @property
    def began(self) -> bool:
        """Whether it came to a stage, or something went wrong with a guest that stages had been run on before."""
        return self._state.began

    def seen(self) -> ExecutionResult:
        """The stages that were judged, or that went wrong while they were only brought about; of those that ended."""
        return self._judge.result(self._state)

    def problem(self) -> VexlabError | None:
        """What the machine failed with, or what kept the first stage from beginning."""
        state, failure = self._state, self._state.failure
        if state.machine_problem is not None:
            return HostProblem(state.machine_problem.reason, state.machine_problem.hint)
        if state.began:
            return None
        if state.death is not None:
            return GuestProblem(state.death.reason, f"vexlab console{name_option(self._lab.name)}")
        if failure is None:
            return GuestProblem(
                "Ansible ended before the first stage", f"its output is in {self.directory}/ansible.log"
            )
        kind: type[VexlabError] = HostProblem if state.preparing == "image" else GuestProblem
        if failure.outcome == "failed" and not state.preparing and not self._lab.record():
            kind = VexlabError  # no image, no guest: test hardware, which is there and which refused
        if REQUEST in failure.facts:
            kind = UsageProblem
        message, _, hint = failure.message.rpartition("\n")
        return kind(message or hint, hint if message else "")

    # --- consuming events

    def _take(self, event: Event) -> bool:
        """Take an event, with what explains it before it; whether it is time to end the playbook."""
        for earlier in self._examination.before(self._state, event):
            self._happened(earlier)
        self._happened(event)
        if isinstance(event, Clock):
            self._progress.tick()
        elif isinstance(event, TaskStarted):
            self._display.task(event.task)
        return self._state.end is not None

    def _happened(self, event: Event) -> None:
        """Go to the next state, and do what the change asks for."""
        before, self._state = self._state, tracker.advance(self._state, event)
        if not isinstance(event, Clock) or self._state is not before:
            self._write_down(event)
        if isinstance(event, Clock) and before.end is None and self._state.death and self._watch:
            death = self._state.death  # a deadline: the console may know why
            self._state = tracker.explained(self._state, self._watch.explain(death.verdict, death.reason))
        if self._state.watched and not before.watched:
            record, console = self._lab.record(), self._lab.directory / "console.log"
            self._watch = Watch(
                Path(record.get("qmp", "")), int(record.get("pid", 0)), console, self._queue.put, self._lab.pauses
            )
        if self._state.image is not before.image:
            self._lab.remember_image(str(self._state.image["key"]))
        if self._state.build is not before.build:
            self._lab.remember_module(self._state.build["module"])
        if self._state.checkpoint != before.checkpoint:
            self._on_checkpoint()
        self._display.show(before, self._state)
        if before.open is not None and self._state.open is None:
            self._show_stage(before.open.name)

    def _write_down(self, event: Event) -> None:
        """Add an event to `events.jsonl`; where it can't be written, nothing else can, and the machine has failed."""
        if self._log is None:
            return
        try:
            self._log.write(events.encode(event))
        except OSError as problem:
            self._log = None
            told = write_problem(self.directory / "events.jsonl", problem)
            self._happened(next(self._examination.machine(write=True), MachineProblem(told.message, told.hint)))

    def _show_stage(self, name: str) -> None:
        """Show a stage that ended, and tell whoever writes the results."""
        stage = self._judge.judge(self._state, name)
        if self._judge.tells(self._state, stage):
            (self._progress.part if name in self.plan.shared else self._progress.stage)(stage)
        else:
            self._progress.end(name, "brought about on the new guest")
        self._on_stage()

    # --- after the playbook

    def _settle(self) -> None:
        """Look at the guest one last time, tell a dead guest from a lost connection, keep what there is of evidence."""
        failure = self._state.failure
        if self._watch is not None:
            lost = failure is not None and failure.outcome == "unreachable"
            if failure is not None and (lost or self._state.open is not None):
                self._listen(TOLD_SECONDS)
            if self._state.end is None and not lost:
                self._look_at_guest(failed=failure is not None)
            self._watch.close()
            self._listen(0)
        self._happened(WatchClosed())
        if self._broken_off and self._state.stages and not self._state.is_whole:
            self._happened(BROKEN_OFF)  # unless something else has ended it
        if failure is not None or self._state.end is not None:
            for problem in self._examination.machine(write=True):
                self._happened(problem)
        try:
            self._keep_evidence()
        except HostProblem as full:  # the disk is full, which may be what this is about
            self._happened(MachineProblem(full.message, full.hint))
        except OSError as unwritten:
            told = write_problem(self.directory, unwritten)
            self._happened(MachineProblem(told.message, told.hint))

    def _listen(self, seconds: float) -> None:
        """Take what the watch still tells, until it has told of an end, or for so long at the most."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._take(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                return
            if self._state.end is not None and seconds:
                return

    def _look_at_guest(self, *, failed: bool) -> None:
        problem = self._examination.guest(failed=failed)
        if isinstance(problem, GuestFailure):
            self._listen(SILENCE_SECONDS)  # the watch knows more about a guest that doesn't answer
        if problem is not None:
            self._happened(problem)

    def _keep_evidence(self) -> None:
        """Collect what a dead guest leaves, end the stage that is open, and copy the console."""
        death, began = self._state.death, self._state.began
        if death is not None and began:
            self._progress.say("keeping the evidence")
            contract = self._settings.contract
            scene = forensics.CrashSite(
                self._lab, self.directory, self._state.victim, str(contract["vexlab_module_name"]),
                f"{contract['vexlab_work_directory']}/build",
            )  # fmt: skip
            explained = forensics.collect(scene, death, memory=bool(contract["vexlab_vmcore"]))
            self._state = tracker.explained(self._state, explained)
        elif death is None:
            self._keep_image()
        self._happened(RunEnded(time.monotonic()))
        if death is not None and began and (self._state.after or not self._state.charged):
            self._show_stage(self._state.victim)
        elif self._state.late is not None:
            self._show_stage(self._state.late.stage)
        console = self._lab.directory / "console.log"
        if console.is_file():
            console_log.copy(console, self.directory / "console.log")

    def _keep_image(self) -> None:
        """Keep the lab's own filesystem where the role of a stage failed on it; what checks fail on, they keep."""
        contract = self._settings.contract
        failed = [
            name for name, stage in self._state.stages.items() if stage.role_ok is False and name in image_copy.OF_LAB
        ]
        if failed and contract["vexlab_device_kind"] == "block" and self._lab.is_up():
            image = f"{contract['vexlab_work_directory']}/device.img"
            directory = StageRecord(self.directory, failed[0]).directory
            directory.mkdir(parents=True, exist_ok=True)
            image_copy.keep(self._lab.look_command(image_copy.packing(image)), directory / f"device{image_copy.SUFFIX}")
