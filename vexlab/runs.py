"""One pass over stages: runs the playbook, follows it stage by stage, judges, and keeps the evidence."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vexlab import __version__, content, forensics, report, results
from vexlab.errors import GuestProblem, HostProblem, Interrupted, UsageProblem, VexlabError
from vexlab.lab import Lab, name_option
from vexlab.playbook import Event, Outcome, Playbook
from vexlab.progress import Progress
from vexlab.results import Guest, Module, Run, Stage, Verdict
from vexlab.settings import Settings
from vexlab.watch import Death, Watch

# How playbooks/tasks/stage.yml names the tasks that frame a stage; tests/unit/test_layout.py compares.
BEGIN = "Begin stage "
VERIFY = "Verify stage "
LOGS = ("console.log", "build.log", "ansible.log")
REPORTS = ("report.md", "junit.xml")  # written when a run is over, after its results


@dataclass
class Course:
    """What was seen of a stage so far; times are of the monotonic clock."""

    name: str
    began: float
    role_ok: bool | None = None
    role_reason: str = ""
    tests_ok: bool | None = None
    ended: float | None = None
    changed: bool = False


def new_directory(lab: str) -> Path:
    """Make the directory of a new run; its name sorts by time and says the lab."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{lab}"
    for number in range(1, 1000):
        path = content.runs_directory() / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return path
    raise VexlabError(f"{stem} can't be made unique in {content.runs_directory()}")


def directories(lab: str | None = None) -> list[Path]:
    """Directories of runs that have results, the oldest first; of one lab or of all."""
    found = sorted(path.parent for path in content.runs_directory().glob("*/results.json"))
    return [path for path in found if lab is None or _lab_of(path) == lab]


def find(name: str | None, lab: str | None = None) -> Path:
    """Directory of a run by its name, or of the last one; raises UsageProblem when there is none."""
    if name is not None:
        path = content.runs_directory() / name
        if not (path / "results.json").is_file():
            raise UsageProblem(f"there is no run {name!r}", "vexlab runs lists them")
        return path
    found = directories(lab)
    if not found:
        raise UsageProblem(f"there is no run{f' of lab {lab}' if lab else ''} yet", "vexlab up, or vexlab test")
    return found[-1]


def _lab_of(path: Path) -> str:
    """The lab that a run was of."""
    marker = path / "lab"
    return marker.read_text().strip() if marker.is_file() else ""


class Pass:
    """One execution of a playbook with stages. Use once: `execute` returns the judged run."""

    def __init__(self, lab: Lab, settings: Settings, selected: Sequence[str], progress: Progress) -> None:
        """Prepare the run's directory; nothing is started."""
        self.directory = new_directory(lab.name)
        (self.directory / "lab").write_text(f"{lab.name}\n")
        self.outcome: Outcome | None = None
        self.changed: list[str] = []
        self._lab = lab
        self._settings = settings
        self._selected = tuple(selected)
        self._progress = progress
        self._specs = {spec.name: spec for spec in content.stages()}
        self._courses: dict[str, Course] = {}
        self._current: Course | None = None
        self._phase = ""
        self._death: Death | None = None
        self._died = threading.Event()
        self._watch: Watch | None = None
        self._playbook: Playbook | None = None
        self._started = datetime.now(UTC)
        self._build: dict[str, Any] = {}

    # --- executing

    def changed_stages(self) -> list[str]:
        """Names of the stages whose role changed something."""
        return [name for name, course in self._courses.items() if course.changed]

    def execute(self, playbook: str, *, apply: bool = True, clean: bool = False) -> Run:
        """Run the playbook, judge what was seen, write the results. Problems before the first stage are raised."""
        self._write(self._run(None))
        variables = {
            "vexlab_run_directory": str(self.directory),
            "vexlab_stages": list(self._selected),
            "vexlab_apply": apply,
            "vexlab_clean": clean,
        }
        self._playbook = Playbook(
            playbook, self._lab.inventory, variables, self.directory / "ansible.log", self._on_event
        )
        interrupted = False
        try:
            self.outcome = self._playbook.run(self._tick)
        except Interrupted:
            interrupted = True
            self._death = self._death or Death(Verdict.NOT_RUN, "interrupted")
        finally:
            self._settle()
        run = self._run(datetime.now(UTC))
        self._write(run)
        if interrupted:
            raise Interrupted("interrupted", f"what was seen so far: {self.directory}")
        self._raise_early_problem()
        return run

    def _settle(self) -> None:
        """Give the watch the time to tell a dead guest from a lost connection, then end it and the open stage."""
        failure = self.outcome.failure if self.outcome else None
        if self._watch is not None:
            if failure is not None and (failure.unreachable or (self._current and self._current.ended is None)):
                self._died.wait(2)
            self._watch.close()
        if failure is not None and failure.unreachable and self._death is None and self._current is not None:
            self._death = Death(Verdict.LOST, f"the connection to the guest was lost: {failure.message}")
        if self._death is not None and self._death.verdict is not Verdict.NOT_RUN and self._current is not None:
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

    def _raise_early_problem(self) -> None:
        """Raise what kept the first stage from beginning, as a problem of the machine or of the guest."""
        failure = self.outcome.failure if self.outcome else None
        if self._courses or self.outcome is None:
            return
        kind = HostProblem if self._phase == "image" else GuestProblem
        if failure is not None:
            message, _, hint = failure.message.rpartition("\n")
            raise kind(message or hint, hint if message else "")
        if self._death is not None:
            raise GuestProblem(self._death.reason, f"vexlab console{name_option(self._lab.name)}")
        log = self.directory / "ansible.log"
        raise GuestProblem("Ansible ended before the first stage", f"its output is in {log}")

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

    def _on_ok(self, task: str, result: dict[str, Any]) -> None:
        if task.startswith(VERIFY) and self._current is not None:
            self._current.tests_ok = True
            self._end_stage()
        elif result.get("changed"):
            (self.changed if self._current is None else []).append(task)
            if self._current is not None:
                self._current.changed = True
        facts = result.get("ansible_facts") or {}
        if "vexfs_build_result" in facts:
            self._build = facts["vexfs_build_result"]
            self._lab.remember_module(self._build["module"])
        if "vexlab_image_result" in facts:
            self._lab.remember_image(facts["vexlab_image_result"]["key"])

    def _on_failure(self, task: str) -> None:
        """A task failed: the one that verifies means failed checks, any other that the role didn't get there."""
        if self._current is None:
            return
        if task.startswith(VERIFY):
            self._current.tests_ok = False
        else:
            self._current.role_ok = False

    def _begin_phase(self, phase: str) -> None:
        if phase != self._phase:
            self._end_phase()
            self._phase = phase
            self._progress.begin(phase, self._image_detail if phase == "image" else self._guest_detail)

    def _end_phase(self) -> None:
        if self._phase and not self._courses:
            self._progress.end(self._phase, self._how_started() if self.changed else "unchanged")
            self.changed.clear()

    def _how_started(self) -> str:
        if self._phase == "image":
            return "built"
        record = self._lab.record()
        return f"{'restored from a state' if record.get('warm') else 'booted:'} {record.get('warm_reason', '')}"

    def _begin_stage(self, name: str) -> None:
        self._end_phase()
        if self._watch is None:
            record = self._lab.record()
            console = self._lab.directory / "console.log"
            self._watch = Watch(Path(record.get("qmp", "")), int(record.get("pid", 0)), console, self._on_death)
        self._current = Course(name, time.monotonic())
        self._courses[name] = self._current
        self._progress.begin(name, self._stage_detail)

    def _end_stage(self) -> None:
        course = self._current
        if course is None or course.ended is not None:
            return
        course.ended = time.monotonic()
        self._progress.stage(self._judge(course.name))
        self._write(self._run(None))

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
        return image_detail(self._started.timestamp())

    def _guest_detail(self) -> str:
        return _last_line(self._lab.directory / "console.log")

    def _stage_detail(self) -> str:
        if self._current is None:
            return ""
        directory = self.directory / "stages" / self._current.name
        if self._current.role_ok is None and self._specs[self._current.name].role:
            return "applying the role"
        planned = _first_word(directory / "planned")
        done = len((directory / "checks.jsonl").read_bytes().splitlines()) if planned else 0
        return f"{done} of {planned} checks" if planned else "starting the checks"

    # --- judging and writing

    def _judge(self, name: str) -> Stage:
        course = self._courses.get(name)
        if course is None:
            return Stage(name)
        directory = self.directory / "stages" / name
        failure = self.outcome.failure if self.outcome else None
        death = self._death if self._current is course and course.tests_ok is not True else None
        checks = results.read_checks(directory / "checks.jsonl")
        guilty = _first_word(directory / "running")
        if death is not None and guilty:
            checks = (*checks, results.Check(guilty, death.verdict, 0.0, death.reason))
        stage = results.judge_stage(
            name, began=True, role_ok=course.role_ok, role_reason=failure.message if failure else "",
            tests_ok=course.tests_ok, checks=checks,
            interruption=death.verdict if death else None, interruption_reason=death.reason if death else "",
            seconds=round((course.ended or time.monotonic()) - course.began, 1),
        )  # fmt: skip
        log = directory / "kernel.log"
        taint = _first_word(directory / "taint")
        return Stage(
            stage.name, stage.verdict, stage.seconds, stage.reason, stage.checks,
            str(log.relative_to(self.directory)) if log.is_file() else None, int(taint) if taint else None,
        )  # fmt: skip

    def _run(self, finished: datetime | None) -> Run:
        stages = tuple(self._judge(name) if self._ended(name) else Stage(name) for name in self._specs)
        return Run(
            run=self.directory.name,
            verdict=results.judge_run(stages, self._selected),
            target=self._settings.target_name,
            started=self._started.isoformat(timespec="seconds"),
            finished=finished.isoformat(timespec="seconds") if finished else None,
            suite_version=__version__,
            module=self._module(),
            guest=self._guest(),
            stages=stages,
            evidence=self._evidence((*LOGS, *REPORTS) if finished else LOGS),
            selected=self._selected,
        )

    def _ended(self, name: str) -> bool:
        course = self._courses.get(name)
        return course is not None and course.ended is not None

    def _module(self) -> Module | None:
        """Identity of the module that this run built, or found built and judged; none after a build that failed."""
        build = self._courses.get("build")
        judged = build is None or build.role_ok is True or build.tests_ok is True
        known = self._build.get("module") or (self._lab.module() if self._courses and judged else {})
        if not known:
            return None
        variant = str(self._settings.contract["vexlab_variant"])
        return Module(known["name"], known["sha256"], known["srcversion"], variant, known["build_id"])

    def _guest(self) -> Guest | None:
        record = self._lab.record()
        if record.get("state") != "ready":
            return None
        image = Path(record["parameters"]["image"])
        try:
            manifest = json.loads((image / "manifest.json").read_text())
        except (OSError, ValueError):
            manifest = {}
        return Guest(
            kernel=str(manifest.get("kernel_release", "")), accelerator=record["accelerator"], qemu=record["qemu"],
            warm=record["warm"], memory_mb=record["parameters"]["memory_mb"], cpus=record["parameters"]["cpus"],
            ssh_port=record["port"], image=image.name,
            share=self._settings.contract["vexlab_share_directory"] if record["source"] else "",
        )  # fmt: skip

    def _evidence(self, names: Sequence[str]) -> dict[str, str]:
        there = [name for name in names if name in REPORTS or (self.directory / name).is_file()]
        files = {Path(name).stem: name for name in there}
        logs = sorted(self.directory.glob("stages/*/kernel.log"))
        files |= {f"kernel log of {path.parent.name}": str(path.relative_to(self.directory)) for path in logs}
        kept = [path for name in forensics.KEPT for path in sorted(self.directory.glob(f"stages/*/{name}"))]
        return files | {f"{path.name} of {path.parent.name}": str(path.relative_to(self.directory)) for path in kept}

    def _write(self, run: Run) -> None:
        """Write the results; of a run that is over also its report."""
        results.write(self.directory / "results.json", run)
        if run.finished is not None:
            text = report.render_markdown(run, name_option(self._lab.name))
            results.replace_file(self.directory / "report.md", text)
            report.write_junit(run, self.directory / "junit.xml")


def run_plain(name: str, lab: Lab, variables: dict[str, Any], log: Path) -> Outcome:
    """Run a playbook that has no stages, such as the one that destroys the guest."""
    return Playbook(name, lab.inventory, variables, log, lambda event: None).run()


def build_image(lab: Lab, progress: Progress, log: Path) -> None:
    """Build the image that the lab's contract asks for; raises HostProblem when that fails."""
    since = time.time()
    progress.begin("image", lambda: image_detail(since))
    outcome = Playbook("image", lab.inventory, {}, log, lambda event: None).run(progress.tick)
    if not outcome.ok:
        raise HostProblem(outcome.failure.message if outcome.failure else f"Ansible failed; its output is in {log}")
    progress.end("image", "built" if outcome.changed else "there already")


def prune_images(lab: Lab, keep: Sequence[str], log: Path) -> dict[str, Any]:
    """Remove the images that nobody uses; what was removed (key and MiB), and what was kept and why."""
    answers: list[dict[str, Any]] = []

    def listen(event: Event) -> None:
        facts = ((event.get("event_data") or {}).get("res") or {}).get("ansible_facts") or {}
        answers.extend([facts["vexlab_image_result"]] if "vexlab_image_result" in facts else [])

    variables = {"vexlab_image_state": "pruned", "vexlab_image_keep": list(keep)}
    outcome = Playbook("image", lab.inventory, variables, log, listen).run()
    if not outcome.ok or not answers:
        raise HostProblem(outcome.failure.message if outcome.failure else f"Ansible failed; its output is in {log}")
    return answers[-1]


def image_detail(since: float) -> str:
    """The last step that a build of an image wrote down after `since`, in seconds since the epoch."""
    logs = [path for path in content.cache_directory().glob("*.log") if path.stat().st_mtime >= since]
    return _last_line(max(logs, key=lambda path: path.stat().st_mtime)) if logs else ""


def prepare(lab: Lab, settings: Settings) -> None:
    """Write the lab's inventory for a playbook."""
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab.write_inventory(settings, sys.executable)


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


def _first_word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
