"""One execution of a playbook with stages: followed by the names of its tasks, watched, ended in time, and judged."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab import content, forensics, results
from vexlab.errors import GuestProblem, HostProblem, Interrupted, VexlabError
from vexlab.lab import Lab, name_option
from vexlab.onward import Plan, Seen
from vexlab.playbook import Event, Outcome, Playbook
from vexlab.progress import Progress
from vexlab.results import DIED, Check, Stage, Verdict
from vexlab.settings import Settings
from vexlab.watch import Death, Watch

# How playbooks/tasks/stage.yml names the tasks that frame a stage; tests/unit/test_layout.py compares.
BEGIN = "Begin stage "
VERIFY = "Verify stage "
CHOICE = "choice.json"  # in a stage's directory: which of its checks to run; tests/guest/conftest.py reads it


@dataclass
class Course:
    """What was seen of a stage so far; times are of the monotonic clock. `judged`: its tests are to run."""

    name: str
    began: float
    judged: bool = True
    role_ok: bool | None = None
    tests_ok: bool | None = None
    ended: float | None = None
    changed: bool = False


class Part:
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
        self.courses: dict[str, Course] = {}
        self._root = root
        self._lab = lab
        self._settings = settings
        self._progress = progress
        self._on_stage: Callable[[], None] = lambda: None
        self._specs = {spec.name: spec for spec in content.stages()}
        self._current: Course | None = None
        self._phase = ""
        self._phase_changed = False
        self._death: Death | None = None
        self._died = threading.Event()
        self._watch: Watch | None = None
        self._playbook: Playbook | None = None
        self._began = time.time()

    # --- executing

    def execute(self, on_stage: Callable[[], None]) -> None:
        """Run the playbook; `on_stage` is called after each stage. Ctrl-C raises Interrupted, with the rest done."""
        self._on_stage = on_stage
        for stage, choice in self.plan.choices.items():
            path = self.directory / "stages" / stage / CHOICE
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"only": choice.only, "leave_out": choice.leave_out}) + "\n")
        variables = {
            "vexlab_run_directory": str(self.directory),
            "vexlab_stages": [name for name in self._specs if name in (*self.plan.judged, *self.plan.applied)],
            "vexlab_only_applied": list(self.plan.applied),
            "vexlab_apply": self.plan.apply,
            "vexlab_clean": self.plan.clean,
            "vexlab_fail_fast": self.plan.fail_fast,
        }
        log = self.directory / "ansible.log"
        self._playbook = Playbook(self.plan.playbook, self._lab.inventory, variables, log, self._on_event)
        try:
            self.outcome = self._playbook.run(self._tick)
        except Interrupted:
            self._death = self._death or Death(Verdict.NOT_RUN, "interrupted")
            raise
        finally:
            self._settle()

    def seen(self) -> Seen:
        """The stages that were judged, or that went wrong while they were only brought about; of those that ended."""
        ended = [name for name, course in self.courses.items() if course.ended is not None]
        stages = {name: self._judge(name) for name in ended}
        return Seen({name: stage for name, stage in stages.items() if self._tells(stage)}, self._death is not None)

    def problem(self) -> VexlabError | None:
        """What kept the first stage from beginning, as a problem of the machine or of the guest."""
        failure = self.outcome.failure if self.outcome else None
        if self.courses or self.outcome is None:
            return None
        kind: type[VexlabError] = HostProblem if self._phase == "image" else GuestProblem
        if failure is not None and not failure.unreachable and not self._lab.record():
            kind = VexlabError  # test hardware, which is there and which refused
        if failure is not None:
            message, _, hint = failure.message.rpartition("\n")
            return kind(message or hint, hint if message else "")
        if self._death is not None:
            return GuestProblem(self._death.reason, f"vexlab console{name_option(self._lab.name)}")
        return GuestProblem("Ansible ended before the first stage", f"its output is in {self.directory}/ansible.log")

    def _settle(self) -> None:
        """Give the watch the time to tell a dead guest from a lost connection, then end it and the open stage."""
        failure = self.outcome.failure if self.outcome else None
        if self._watch is not None:
            if failure is not None and (failure.unreachable or (self._current and self._current.ended is None)):
                self._died.wait(2)
            self._watch.close()
        if failure is not None and failure.unreachable and self._death is None and self._current is not None:
            self._death = Death(Verdict.LOST, f"the connection to the guest was lost: {failure.message}")
        if self._death is not None and self._death.verdict in DIED and self._current is not None:
            self._progress.say("keeping the evidence")
            self._death = forensics.collect(
                self._scene(self._current.name), self._death, memory=bool(self._settings.contract["vexlab_vmcore"])
            )
        self._end_stage()
        console = self._lab.directory / "console.log"
        if console.is_file():
            shutil.copy(console, self.directory / "console.log")

    def _scene(self, stage: str) -> forensics.Scene:
        """Where evidence of a stage is to be found."""
        contract = self._settings.contract
        build = f"{contract['vexlab_work_directory']}/build"
        return forensics.Scene(self._lab, self.directory, stage, str(contract["vexlab_module_name"]), build)

    # --- following the playbook, in the runner's thread

    def _on_event(self, event: Event) -> None:
        kind, data = event["event"], event.get("event_data", {})
        task, role = str(data.get("task") or ""), str(data.get("role") or "")
        if kind == "playbook_on_task_start":
            if task.startswith(BEGIN):
                self._begin_stage(task.removeprefix(BEGIN))
            elif role in ("vexlab_image", "vexlab_guest"):
                self._begin_phase(role.removeprefix("vexlab_"))
            elif task.startswith(VERIFY) and self._current is not None:
                self._current.role_ok = True if self._specs[self._current.name].role else None
        elif kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            self._on_failure(task)
        elif kind == "runner_on_ok":
            self._on_ok(task, data.get("res") or {})
        elif kind == "runner_on_skipped" and task.startswith(VERIFY):
            self._end_stage()

    def _on_ok(self, task: str, result: dict[str, Any]) -> None:
        if task.startswith(VERIFY) and self._current is not None:
            self._current.tests_ok = result.get("rc") == 0  # the task that verifies may go on after failed checks
            self._end_stage()
        elif result.get("changed"):
            if self._current is not None:
                self._current.changed = True
            else:
                self._phase_changed = True
        facts = result.get("ansible_facts") or {}
        if "vexfs_build_result" in facts:
            self.build = facts["vexfs_build_result"]
            self._lab.remember_module(self.build["module"])
        if "vexlab_image_result" in facts:
            self._lab.remember_image(facts["vexlab_image_result"]["key"])

    def _on_failure(self, task: str) -> None:
        """A task failed: the one that verifies means failed checks, any other that the role didn't get there."""
        if self._current is None:
            return
        if task.startswith(VERIFY):
            self._current.tests_ok = False
            checks = results.read_checks(self.directory / "stages" / self._current.name / "checks.jsonl")
            if hung := next((check for check in checks if check.verdict is Verdict.HUNG), None):
                self._on_death(Death(Verdict.HUNG, f"{hung.name}: {hung.message}"))
        else:
            self._current.role_ok = False

    def _begin_phase(self, phase: str) -> None:
        if phase != self._phase:
            self._end_phase()
            self._phase = phase
            self._progress.begin(phase, self._image_detail if phase == "image" else self._guest_detail)

    def _end_phase(self) -> None:
        if self._phase and not self.courses:
            self._progress.end(self._phase, self._how_started() if self._phase_changed else "unchanged")
            self._phase_changed = False

    def _how_started(self) -> str:
        if self._phase == "image":
            return "built"
        record = self._lab.record()
        return f"{'restored from a state' if record.get('warm') else 'booted:'} {record.get('warm_reason', '')}"

    def _begin_stage(self, name: str) -> None:
        self._end_phase()
        record = self._lab.record()
        if self._watch is None and record:  # a machine that isn't a guest has no QEMU that could tell of it
            console = self._lab.directory / "console.log"
            self._watch = Watch(Path(record.get("qmp", "")), int(record.get("pid", 0)), console, self._on_death)
        self._current = Course(name, time.monotonic(), judged=name in self.plan.judged)
        self.courses[name] = self._current
        self._progress.begin(name, self._stage_detail)

    def _end_stage(self) -> None:
        course = self._current
        if course is None or course.ended is not None:
            return
        course.ended = time.monotonic()
        stage = self._judge(course.name)
        if self._tells(stage):
            self._progress.stage(stage)
        else:
            self._progress.end(course.name, "brought about on the new guest")
        self._on_stage()

    def _on_death(self, death: Death) -> None:
        """The guest can't go on: note why and end the playbook, in the watch's thread."""
        self._death = self._death or death
        self._died.set()
        if self._playbook is not None:
            self._playbook.stop()

    def _tick(self) -> None:
        """Called often by the main thread: progress, and the stage's deadline."""
        self._progress.tick()
        course = self._current
        if course is None or course.ended is not None or self._death is not None:
            return
        deadline = self._specs[course.name].deadline
        if time.monotonic() - course.began > deadline:
            otherwise = f"the stage did not end within its deadline of {deadline} s"
            self._on_death(
                self._watch.explain(Verdict.HUNG, otherwise) if self._watch else Death(Verdict.HUNG, otherwise)
            )

    # --- how far it is

    def _image_detail(self) -> str:
        """The last step that the build of the image wrote down."""
        return image_detail(self._began)

    def _guest_detail(self) -> str:
        return _last_line(self._lab.directory / "console.log")

    def _stage_detail(self) -> str:
        if self._current is None:
            return ""
        directory = self.directory / "stages" / self._current.name
        if self._current.role_ok is None and self._specs[self._current.name].role:
            return "applying the role"
        planned = len(_lines(directory / "planned"))
        done = len(_lines(directory / "checks.jsonl"))
        return f"{done} of {planned} checks" if planned else "starting the checks"

    # --- judging

    def _tells(self, stage: Stage) -> bool:
        """Whether a stage that ended tells of the filesystem: not when it was only to be brought about, and was."""
        return self.courses[stage.name].judged or stage.verdict is not Verdict.NOT_RUN

    def _judge(self, name: str) -> Stage:
        """The stage as far as it was seen; one that was only brought about stays not_run unless it went wrong."""
        course = self.courses[name]
        directory = self.directory / "stages" / name
        failure = self.outcome.failure if self.outcome else None
        death = self._death if self._current is course and course.tests_ok is not True else None
        seconds = round((course.ended or time.monotonic()) - course.began, 1)
        if not course.judged and death is None and course.role_ok is not False:
            return Stage(name, seconds=seconds, achieved=self._achieved(course))
        stage = results.judge_stage(
            name, began=True, role_ok=course.role_ok, role_reason=failure.message if failure else "",
            tests_ok=course.tests_ok, checks=self._checks(directory, death),
            interruption=death.verdict if death else None, interruption_reason=death.reason if death else "",
            seconds=seconds,
        )  # fmt: skip
        log = directory / "kernel.log"
        taint = "".join(_lines(directory / "taint"))
        return Stage(
            stage.name, stage.verdict, stage.seconds, stage.reason, stage.checks,
            str(log.relative_to(self._root)) if log.is_file() else None, int(taint) if taint else None,
            self._achieved(course),
        )  # fmt: skip

    def _achieved(self, course: Course) -> bool | None:
        """Whether what a stage brings about is there: its role says so, if it was applied."""
        return course.role_ok is True if self._specs[course.name].role and self.plan.apply else None

    def _checks(self, directory: Path, death: Death | None) -> tuple[Check, ...]:
        """The checks that ended, the one during which the guest died, and those that did not get to run, as planned."""
        checks = results.read_checks(directory / "checks.jsonl")
        if death is not None and (running := _lines(directory / "running")):
            checks = (*checks, Check(running[0], death.verdict, 0.0, death.reason))
        known = {check.name for check in checks}
        planned = [name for name in _lines(directory / "planned") if name not in known]
        return (*checks, *(Check(name, Verdict.NOT_RUN, 0.0, "it was not reached") for name in planned))


def image_detail(since: float) -> str:
    """The last step that a build of an image wrote down after `since`, in seconds since the epoch."""
    logs = [path for path in content.cache_directory().glob("*.log") if path.stat().st_mtime >= since]
    return _last_line(max(logs, key=lambda path: path.stat().st_mtime)) if logs else ""


def _last_line(path: Path) -> str:
    """The last line of a log that isn't blank, without control characters."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    shown = ["".join(char for char in line if char.isprintable()).strip() for line in lines]
    return next((line for line in reversed(shown) if line), "")


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except OSError:
        return []
