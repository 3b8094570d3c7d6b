"""One execution of a playbook with stages: followed by its events, watched, ended in time, and judged."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vexlab.config import stage_list
from vexlab.config.settings import Settings
from vexlab.errors import GuestProblem, HostProblem, Interrupted, VexlabError, make_room, write_problem
from vexlab.guest import console_log, forensics, host_disks
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.guest.lab import Lab, name_option
from vexlab.guest.watch import Watch
from vexlab.report.terminal import Progress
from vexlab.results import judging
from vexlab.results.model import DIED, Check, Stage, Verdict
from vexlab.results.stage_record import StageRecord
from vexlab.run import tracker
from vexlab.run.playbook import Event, Outcome, Playbook
from vexlab.run.preparation import ROLES, Preparation
from vexlab.run.replan import ExecutionResult, Plan
from vexlab.run.tracker import StageProgress, State

STAGE = "vexfs.vexlab.stage"  # the module by which a playbook announces a stage
JUDGE = "vexfs.vexlab.judge"  # and the one by which it has its checks run
MACHINE_EXIT = 74  # of the checks, when they can't write what they found; tests/guest/conftest.py ends with it
SILENCE_SECONDS = 5.0  # for the watch to say why a guest did not answer
LOOK_SECONDS = 2.0  # between two looks at this machine's disks
GUEST_IS_FULL = "take a pristine guest (vexlab down, vexlab up); a source tree that big needs a bigger image"


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
        self.outcome: Outcome | None = None
        self.build: dict[str, Any] = {}
        self._root = root
        self._lab = lab
        self._settings = settings
        self._progress = progress
        self._on_stage: Callable[[], None] = lambda: None
        self._specs = {spec.name: spec for spec in stage_list.stages()}
        self._first = self._planned()[0]
        self._state = State()
        self._state_changes = threading.Lock()
        self._ended = threading.Event()
        self._preparation = Preparation(lab, progress, guest_is_new=plan.fresh)
        self._watch: Watch | None = None
        self._playbook: Playbook | None = None
        self._looked = time.monotonic()

    # --- executing

    def execute(self, on_stage: Callable[[], None]) -> None:
        """Run the playbook; `on_stage` is called after each stage. Ctrl-C raises Interrupted, with the rest done."""
        self._on_stage = on_stage
        for stage, choice in self.plan.choices.items():
            StageRecord(self.directory, stage).choose(only=choice.only, leave_out=choice.leave_out)
        variables = {
            "vexlab_run_directory": str(self.directory),
            "vexlab_stages": self._planned(),
            "vexlab_only_applied": list(self.plan.applied),
            "vexlab_apply": self.plan.apply,
            "vexlab_clean": self.plan.clean,
            "vexlab_fail_fast": self.plan.fail_fast,
        }
        log = self.directory / "ansible.log"
        self._playbook = Playbook(self.plan.playbook, self._lab, variables, log, self._on_event)
        try:
            self.outcome = self._playbook.run(self._tick)
        except Interrupted:
            self._happened(tracker.Interruption())
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
    def machine_failed(self) -> bool:
        """Whether the machine's failing ended the execution, which says nothing about the filesystem."""
        return self._state.machine_problem is not None

    @property
    def began(self) -> bool:
        """Whether it came to a stage, or something went wrong with a guest that stages had been run on before."""
        return bool(self.stages) or self._dead_before_first()

    def seen(self) -> ExecutionResult:
        """The stages that were judged, or that went wrong while they were only brought about; of those that ended."""
        ended = [name for name, stage in self.stages.items() if stage.ended is not None]
        ended += [self._first] if self._dead_before_first() else []
        stages = {name: self._judge(name) for name in ended}
        return ExecutionResult(
            {name: stage for name, stage in stages.items() if self._tells(stage)}, self._state.death is not None
        )

    def problem(self) -> VexlabError | None:
        """What the machine failed with, or what kept the first stage from beginning."""
        if (failed := self._state.machine_problem) is not None:
            return HostProblem(failed.reason, failed.hint)
        failure = self.outcome.failure if self.outcome else None
        if self.began or self.outcome is None:
            return None
        kind: type[VexlabError] = HostProblem if self._preparation.part == "image" else GuestProblem
        if failure is not None and not failure.unreachable and not self._preparation.part and not self._lab.record():
            kind = VexlabError  # no image, no guest: test hardware, which is there and which refused
        if self._state.death is not None:
            return GuestProblem(self._state.death.reason, f"vexlab console{name_option(self._lab.name)}")
        if failure is not None:
            message, _, hint = failure.message.rpartition("\n")
            return kind(message or hint, hint if message else "")
        return GuestProblem("Ansible ended before the first stage", f"its output is in {self.directory}/ansible.log")

    def _dead_before_first(self) -> bool:
        """Whether a guest that was up already died before the first stage: of a module that it had in it, say."""
        return self._state.death is not None and not self.stages and not self._preparation.guest_is_new

    def _happened(self, event: tracker.Event) -> None:
        """Take note of an event; called in any thread. What ends the execution has the playbook stopped."""
        with self._state_changes:
            self._state = tracker.advance(self._state, event)
            ended = self._state.end is not None
        if ended and not self._ended.is_set():
            self._ended.set()
            if self._playbook is not None:
                self._playbook.stop()

    def _settle(self) -> None:
        """Look at the guest one last time, tell a dead guest from a lost connection, keep what there is of evidence."""
        failure = self.outcome.failure if self.outcome else None
        current = self._state.current
        lost = failure is not None and failure.unreachable
        if self._watch is not None:
            if failure is not None and (lost or (current and current.ended is None)):
                self._ended.wait(2)
            if not self._ended.is_set() and not lost:
                self._last_look(failed=failure is not None)
            self._watch.close()
        if failure is not None and lost and current is not None:
            self._happened(GuestFailure(Verdict.LOST, f"the connection to the guest was lost: {failure.message}"))
        if failure is not None or self._state.end is not None:
            self._look_at_machine(write=True)
        try:
            self._keep_evidence()
        except HostProblem as problem:  # the disk is full, which may be what this is about
            self._happened(MachineProblem(problem.message, problem.hint))
        except OSError as problem:
            full = write_problem(self.directory, problem)
            self._happened(MachineProblem(full.message, full.hint))

    def _keep_evidence(self) -> None:
        """Collect what a dead guest leaves, end the stage that is open, and copy the console."""
        death, charged = self._state.death, self._state.charged or self._first
        if death is not None and self.began:
            self._progress.say("keeping the evidence")
            memory = bool(self._settings.contract["vexlab_vmcore"])
            self._state = tracker.explained(self._state, forensics.collect(self._scene(charged), death, memory=memory))
        self._end_stage()
        if death is not None and self.began and (self._state.after or not self._state.charged):
            self._progress.stage(self._judge(charged))
            self._on_stage()
        console = self._lab.directory / "console.log"
        if console.is_file():
            console_log.copy(console, self.directory / "console.log")

    def _last_look(self, *, failed: bool) -> None:
        """Have the guest answer once more: what its kernel was about to say is said then, and the watch hears it."""
        try:
            places = ("/", str(self._settings.contract["vexlab_work_directory"])) if failed else ()
            full = self._lab.full_disk(places)
        except (GuestProblem, TimeoutError) as problem:
            self._ended.wait(SILENCE_SECONDS)  # the watch knows more about a guest that doesn't answer
            verdict = Verdict.HUNG if isinstance(problem, TimeoutError) else Verdict.LOST
            self._happened(GuestFailure(verdict, str(problem)))
            return
        if full:
            self._happened(MachineProblem(f"the guest's own disk is full, at {full}", GUEST_IS_FULL))

    def _look_at_machine(self, *, write: bool = False) -> None:
        """Whether this machine still can what a run needs of it."""
        places = (self._root, self._lab.directory, Path(tempfile.gettempdir()))
        problem = host_disks.full_disk(places) or (host_disks.unwritable(places) if write else None)
        if problem is not None:
            self._happened(problem)

    def _scene(self, stage: str) -> forensics.CrashSite:
        """Where evidence of a stage is to be found."""
        contract = self._settings.contract
        build = f"{contract['vexlab_work_directory']}/build"
        return forensics.CrashSite(self._lab, self.directory, stage, str(contract["vexlab_module_name"]), build)

    # --- following the playbook, in the runner's thread

    def _on_event(self, event: Event) -> None:
        kind, data = event["event"], event.get("event_data", {})
        action = data.get("task_action")
        judges = action == JUDGE
        role = str(data.get("role") or "").rpartition(".")[2]
        if kind == "playbook_on_task_start":
            if role in ROLES:
                self._preparation.begin(ROLES[role])
            else:
                self._begin_watch()
            if action == STAGE:  # it begins now, so that what keeps it from being announced counts as its own
                self._begin_stage(next(name for name in self._planned() if name not in self.stages))
            elif judges and self._state.current is not None:
                self._happened(tracker.RoleEnded(True if self._specs[self._state.current.name].role else None))
        elif kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            self._on_failure(data.get("res") or {}, judges=judges)
        elif kind == "runner_on_ok":
            self._on_ok(data.get("res") or {}, judges=judges)
        elif kind == "runner_on_skipped" and judges:
            self._end_stage()

    def _on_ok(self, result: dict[str, Any], *, judges: bool) -> None:
        current = self._state.current
        if "stage" in result and current is not None and result["stage"]["name"] != current.name:
            raise VexlabError(f"the playbook began stage {result['stage']['name']} where {current.name} was next")
        if judges and current is not None:
            self._on_checks(result)  # the task that verifies may go on after failed checks
            self._end_stage()
        elif result.get("changed"):
            self._happened(tracker.Changed())
            self._preparation.change()
        facts = result.get("ansible_facts") or {}
        if "vexfs_build_result" in facts:
            self._on_build(facts["vexfs_build_result"])
        if "vexlab_image_result" in facts:
            self._lab.remember_image(facts["vexlab_image_result"]["key"])

    def _on_build(self, result: dict[str, Any]) -> None:
        """Role vexfs_build told what it built, or that this machine could not try."""
        if "host_problem" in result:
            self._happened(
                MachineProblem(str(result["host_problem"]), "mend that, or build in the guest: --builder guest")
            )
            return
        self.build = result
        self._lab.remember_module(result["module"])

    def _on_failure(self, result: dict[str, Any], *, judges: bool) -> None:
        """A task failed: the one that judges means what its checks say, any other that the role didn't get there."""
        if self._state.current is None:
            return
        if judges:
            self._on_checks(result)
        else:
            self._look_at_machine(write=True)
            self._happened(tracker.RoleEnded(False))

    def _on_checks(self, result: dict[str, Any]) -> None:
        """The checks of the stage ended, with this result of the task that ran them."""
        current = self._state.current
        if current is not None and result.get("rc") != 0:
            self._look_at_machine(write=True)
            checks = StageRecord(self.directory, current.name).finished_checks()
            unusable = next((check for check in checks if check.verdict in (*DIED, Verdict.NOT_RUN)), None)
            if result.get("rc") == MACHINE_EXIT:
                reason = f"what the checks found could not be written below {self.directory}"
                self._happened(MachineProblem(reason, make_room(self.directory)))
            elif unusable is not None:
                self._happened(_of_check(unusable))
        self._happened(tracker.ChecksEnded(result.get("rc") == 0))

    def _begin_watch(self) -> None:
        """Watch the guest as soon as it is there and nobody replaces it any more; QEMU tells what came before that."""
        if self._watch is not None or (self.plan.playbook == "up" and self._preparation.part != "guest"):
            return
        record = self._lab.record()
        if record.get("state") == "ready":  # a machine that isn't a guest has no QEMU that could tell of it
            self._preparation.end()
            console = self._lab.directory / "console.log"
            self._watch = Watch(Path(record.get("qmp", "")), int(record.get("pid", 0)), console, self._happened)

    def _planned(self) -> list[str]:
        """The stages of the playbook, in their order."""
        return [name for name in self._specs if name in (*self.plan.judged, *self.plan.applied)]

    def _begin_stage(self, name: str) -> None:
        self._preparation.end()
        self._happened(tracker.StageBegan(name, time.monotonic(), judged=name in self.plan.judged))
        if name in self.stages:  # nothing begins in a guest that died meanwhile
            self._progress.begin(name, self._stage_detail)

    def _end_stage(self) -> None:
        current = self._state.current
        if current is None or current.ended is not None:
            return
        self._happened(tracker.StageEnded(time.monotonic()))
        stage = self._judge(current.name)
        if self._tells(stage):
            self._progress.stage(stage)
        else:
            self._progress.end(current.name, "brought about on the new guest")
        self._on_stage()

    def _tick(self) -> None:
        """Called often by the main thread: progress, this machine's disks, and the stage's deadline."""
        self._progress.tick()
        if self._state.end is not None:
            return
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._look_at_machine()
        current = self._state.current
        if current is None or current.ended is not None:
            return
        deadline = self._specs[current.name].deadline
        if time.monotonic() - current.began > deadline:
            otherwise = f"the stage did not end within its deadline of {deadline} s"
            self._happened(
                self._watch.explain(Verdict.HUNG, otherwise) if self._watch else GuestFailure(Verdict.HUNG, otherwise)
            )

    # --- how far it is

    def _stage_detail(self) -> str:
        current = self._state.current
        if current is None:
            return ""
        if current.role_ok is None and self._specs[current.name].role:
            return "applying the role"
        done, planned = StageRecord(self.directory, current.name).counts()
        return f"{done} of {planned} checks" if planned else "starting the checks"

    # --- judging

    def _tells(self, stage: Stage) -> bool:
        """Whether a stage that ended tells of the filesystem: not when it was only to be brought about, and was."""
        seen = self.stages.get(stage.name)
        return seen is None or seen.judged or stage.verdict is not Verdict.NOT_RUN

    def _judge(self, name: str) -> Stage:
        """The stage as far as it was seen; one that was only brought about stays not_run unless it went wrong."""
        seen = self.stages.get(name) or StageProgress(name, self._looked)  # the guest died before it began
        record = StageRecord(self.directory, name)
        failure = self.outcome.failure if self.outcome else None
        verdict, reason = tracker.spoils(self._state, name, self._first) or (None, "")
        seconds = round((seen.ended or time.monotonic()) - seen.began, 1)
        if not seen.judged and verdict is None and seen.role_ok is not False:
            return Stage(name, seconds=seconds, achieved=self._achieved(seen))
        stage = judging.judge_stage(
            name, began=True, role_ok=seen.role_ok, role_reason=failure.message if failure else "",
            tests_ok=seen.checks_ok, checks=record.all_checks(verdict, reason, is_no_verdict=self.machine_failed),
            interruption=verdict, interruption_reason=reason, seconds=seconds,
        )  # fmt: skip
        log = record.kernel_log()
        return Stage(
            stage.name, stage.verdict, stage.seconds, stage.reason, stage.checks,
            str(log.relative_to(self._root)) if log else None, record.taint(),
            self._achieved(seen), record.left_out(),
        )  # fmt: skip

    def _achieved(self, seen: StageProgress) -> bool | None:
        """Whether what a stage brings about is there: its role says so, if it was applied."""
        return seen.role_ok is True if self._specs[seen.name].role and self.plan.apply else None


def _of_check(check: Check) -> GuestFailure | MachineProblem:
    """What a check says that found the guest unusable, or unfit to judge anything in."""
    if check.verdict in DIED:
        return GuestFailure(check.verdict, f"{check.name}: {check.message}")
    return MachineProblem(check.message, GUEST_IS_FULL)
