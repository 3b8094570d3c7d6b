"""Stages that are judged beside the others, each in a guest of its own that goes on from the one that the run saved.

Each has a process of its own (fork.py), which does what the run does: it follows the playbook, watches the guest, keeps
the evidence, goes on after a death. What it has seen is merged into the run. It works in a lab of its own, a directory
in that of the run's lab, which it holds as any command holds its lab; and it ends by itself when the run is gone, of
which the end of its standard input tells.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Settings
from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.guest import reaper
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.model import Stage
from vexlab.results.stage_record import StageRecord
from vexlab.run import plain_playbooks
from vexlab.run.replan import ExecutionResult

DIRECTORY = "forks"  # of a lab: the directories of those guests
PREFIX = "fork-"  # of their directories in that of a run
MEMORY_BESIDE = 512  # MiB that a guest takes beside its own memory, and what judges it
END_SECONDS = 90.0  # for a stage that is interrupted to keep what it has seen, and to end its guest
TICK = 0.2


class Order(Struct, frozen=True):
    """What a process is told: the stage, the directory of the run, the lab's name, and the contract of its guest."""

    stage: str
    root: str
    lab: str
    checkpoint: str
    contract: dict[str, Any]


class Answer(Struct, frozen=True):
    """What it has seen of its stage; `problem` is what kept it from that, `is_of_machine` whether this machine did."""

    stages: dict[str, Stage] = {}
    problem: str = ""
    hint: str = ""
    is_of_machine: bool = False


def most(contract: dict[str, Any]) -> int:
    """How many guests can be at work at once: as many as this machine has CPUs for, and memory.

    Guests with more CPUs than there are wait for each other: two of two emulated ones, on two, take as long at once as
    one after the other, and two with one CPU each half of that.
    """
    memory = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1].split()[0]
    room = int(memory) // 1024 // (int(contract["vexlab_memory_mb"]) + MEMORY_BESIDE)
    return max(1, min((os.cpu_count() or 1) // int(contract["vexlab_cpus"]), room))


def end_left(lab: Lab, log: Path) -> None:
    """End the guests that are left of a run that was killed; raises GuestProblem, or UsageProblem when one goes on."""
    deadline = time.monotonic() + END_SECONDS
    for directory in sorted((lab.directory / DIRECTORY).glob("*")):
        fork = Lab(lab.name, directory)
        while True:
            try:
                with fork.held():
                    plain_playbooks.end_guest(fork, "absent", log)
                break
            except UsageProblem:  # its process has seen that the run is gone, and is about to end
                if time.monotonic() > deadline:
                    raise
                time.sleep(TICK)


class Forks:
    """The stages of a run that are judged beside the others. `end` must be called, whatever happens."""

    def __init__(self, lab: Lab, settings: Settings, root: Path, checkpoint: str) -> None:
        """Prepare; nothing is started. `root` is the directory of the run."""
        self._lab = lab
        self._settings = settings
        self._root = root
        self._checkpoint = checkpoint
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._answers: dict[str, Answer] = {}

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that were begun."""
        return tuple(self._processes)

    @property
    def directories(self) -> list[Path]:
        """The directories of their executions."""
        return [path for name in self._processes for path in sorted(self._root.glob(f"{PREFIX}{name}*"))]

    def begin(self, stages: Sequence[str]) -> None:
        """Start a process for each of these stages; the guest must have been saved."""
        for stage in stages:
            directory = self._root / f"{PREFIX}{stage}"
            directory.mkdir(mode=0o700)
            place = self._lab.directory / DIRECTORY / stage
            sockets = self._settings.contract["vexlab_runtime_directory"]
            own = {
                "vexlab_lab_directory": str(place),
                "vexlab_runtime_directory": f"{sockets}/{stage}" if sockets else "",
            }
            contract = self._settings.contract | own
            order = Order(stage, str(self._root), self._lab.name, self._checkpoint, contract)
            replace_file(directory / "order.json", msgspec.json.encode(order).decode() + "\n")
            with (directory / "progress.log").open("wb") as log:
                self._processes[stage] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "vexlab.run.fork", str(directory)],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                    env={name: value for name, value in os.environ.items() if name != reaper.NAME},
                )  # fmt: skip

    def wait(self, progress: Progress) -> None:
        """Wait until all have ended, and show what came of them.

        A stage that could not be judged beside the others is told; the run can judge it after them.
        """
        for stage, process in self._processes.items():
            if process.poll() is None:
                progress.begin(stage, functools.partial(self._detail, stage))
            while process.poll() is None:
                progress.tick()
                time.sleep(TICK)
            self._take(stage)
            answer = self._answers[stage]
            for seen in answer.stages.values():
                progress.stage(seen)
            if answer.problem:
                progress.say(f"{stage} could not be judged in a guest of its own: {answer.problem}")

    def results(self) -> list[ExecutionResult]:
        """What those showed that have ended. Their guests are gone, and nobody goes on with them."""
        return [ExecutionResult(answer.stages, False) for answer in self._answers.values() if answer.stages]

    def machine_problem(self) -> VexlabError | None:
        """What this machine failed with, where that is what ended one of them."""
        found = (answer for answer in self._answers.values() if answer.is_of_machine)
        return next((HostProblem(answer.problem, answer.hint) for answer in found), None)

    def end(self) -> None:
        """End those that go on, and take what they have seen; nothing when all have ended."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + END_SECONDS
        for stage, process in self._processes.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._take(stage)

    def _take(self, stage: str) -> None:
        """Take the answer of a process that has ended."""
        if stage in self._answers:
            return
        if (pipe := self._processes[stage].stdin) is not None:
            pipe.close()
        path = self._root / f"{PREFIX}{stage}" / "answer.json"
        try:
            self._answers[stage] = msgspec.json.decode(path.read_bytes(), type=Answer)
        except (OSError, msgspec.DecodeError):
            log = path.with_name("progress.log")
            self._answers[stage] = Answer(problem=f"its process ended without an answer; see {log}")

    def _detail(self, stage: str) -> str:
        """How far a stage is."""
        done, planned = StageRecord(self._root / f"{PREFIX}{stage}", stage).counts()
        return f"{done} of {planned} checks, in a guest of its own" if planned else "in a guest of its own"
