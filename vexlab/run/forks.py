"""Guests in which checks of a run are judged beside its own: each goes on from the one that the run saved.

Each has a process of its own (fork.py), which does what the run does: it follows the playbook, watches the guest, keeps
the evidence, goes on after a death. What it has seen is merged into the run. It works in a lab of its own, a directory
in that of the run's lab, which it holds as any command holds its lab; and it ends by itself when the run is gone, of
which the end of its standard input tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
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
from vexlab.run import children, plain_playbooks
from vexlab.run.replan import Choice, ExecutionResult
from vexlab.run.shares import Share

DIRECTORY = "forks"  # of a lab: the directories of those guests
MEMORY_BESIDE = 512  # MiB that a guest takes beside its own memory, and what judges it
END_SECONDS = 90.0  # for one that is interrupted to keep what it has seen, and to end its guest
TICK = 0.2


class Order(Struct, frozen=True):
    """What a process is told: its share, the directory of the run, the lab's name, and the contract of its guest.

    `goes_on`: what is left when its guest has died is judged on another one.
    """

    share: dict[str, Choice]
    goes_on: bool
    root: str
    lab: str
    checkpoint: str
    contract: dict[str, Any]


class Answer(Struct, frozen=True):
    """What it has seen of its stages; `problem` is what kept it from that, `is_of_machine` whether this machine did."""

    stages: dict[str, Stage] = {}
    problem: str = ""
    hint: str = ""
    is_of_machine: bool = False


def most(contract: dict[str, Any]) -> int:
    """How many guests can be at work at once: as many as this machine has CPUs for, and memory.

    Guests with more CPUs than there are wait for each other: two of two emulated ones, on two, take as long at once as
    one after the other, and two with one CPU each half of that. A fork has the CPUs of the guest that was saved.
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
    """Shares of a run that are judged beside its own guest. `end` must be called, whatever happens."""

    def __init__(self, lab: Lab, settings: Settings, root: Path, checkpoint: str) -> None:
        """Prepare; nothing is started. `root` is the directory of the run."""
        self._lab = lab
        self._settings = settings
        self._root = root
        self._checkpoint = checkpoint
        self._shares: dict[str, Share] = {}
        self._waiting: list[str] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._answers: dict[str, Answer] = {}
        self._at_once = 0
        self._goes_on = True

    @property
    def begun(self) -> bool:
        """Whether there are any."""
        return bool(self._shares)

    @property
    def directories(self) -> list[Path]:
        """The directories of their executions."""
        return [
            path
            for name in self._shares
            for path in (self._root / name, *sorted(self._root.glob(f"{name}-part-*")))
            if path.is_dir()
        ]

    def begin(self, shares: Mapping[str, Share], at_once: int, *, goes_on: bool = True) -> None:
        """Start a process for each of these, by the names of their directories; the guest must have been saved.

        Of more than `at_once`, the others are started by `wait`. `goes_on`: what is left after a death is judged too.
        """
        self._shares, self._waiting = dict(shares), list(shares)
        self._at_once, self._goes_on = at_once, goes_on
        self._start()

    def wait(self, progress: Progress, step: str) -> None:
        """Wait until all have ended; `step` is what that is called. One that could not be judged is told."""
        progress.begin(step, self._detail)
        while self._waiting or self._running():
            self._take_ended()
            self._start()
            progress.tick()
            time.sleep(TICK)
        self._take_ended()
        progress.end(step, f"in {len(self._shares)} other guest{'' if len(self._shares) == 1 else 's'}")
        for name, answer in self.answers().items():
            if answer.problem:
                progress.say(f"{name.replace('-', ' ')}: {answer.problem}")

    def answers(self) -> dict[str, Answer]:
        """What those have seen that ended, by their names."""
        return {name: self._answers[name] for name in self._shares if name in self._answers}

    def results(self) -> list[ExecutionResult]:
        """What those showed that have ended. Their guests are gone, and nobody goes on with them."""
        return [ExecutionResult(answer.stages, False) for answer in self.answers().values() if answer.stages]

    def unjudged(self) -> set[str]:
        """The stages of which a share was not begun by anyone, or not yet told of."""
        return {
            stage
            for name, share in self._shares.items()
            for stage in share
            if name not in self._answers or stage not in self._answers[name].stages
        }

    def machine_problem(self) -> VexlabError | None:
        """What this machine failed with, where that is what ended one of them."""
        found = (answer for answer in self._answers.values() if answer.is_of_machine)
        return next((HostProblem(answer.problem, answer.hint) for answer in found), None)

    def end(self) -> None:
        """End those that go on, and take what they have seen; nothing when all have ended."""
        children.end(self._processes.values(), END_SECONDS)
        self._take_ended()

    def _running(self) -> dict[str, subprocess.Popen[bytes]]:
        return {name: process for name, process in self._processes.items() if process.poll() is None}

    def _start(self) -> None:
        """Start those that wait, as far as there may be more at once."""
        while self._waiting and len(self._running()) < self._at_once:
            name = self._waiting.pop(0)
            directory = self._root / name
            directory.mkdir(mode=0o700)
            replace_file(directory / "order.json", msgspec.json.encode(self._order(name)).decode() + "\n")
            with (directory / "progress.log").open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "vexlab.run.fork", str(directory)],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                    env={name: value for name, value in os.environ.items() if name != reaper.NAME},
                )  # fmt: skip

    def _order(self, name: str) -> Order:
        """What a process is told: its guest is in a lab of its own."""
        sockets = self._settings.contract["vexlab_runtime_directory"]
        own = {
            "vexlab_lab_directory": str(self._lab.directory / DIRECTORY / name),
            "vexlab_runtime_directory": f"{sockets}/{name}" if sockets else "",
        }
        contract = self._settings.contract | own
        share = dict(self._shares[name])
        return Order(share, self._goes_on, str(self._root), self._lab.name, self._checkpoint, contract)

    def _take_ended(self) -> None:
        """Take the answers of the processes that have ended."""
        for name in self._processes.keys() - self._answers.keys() - self._running().keys():
            if (pipe := self._processes[name].stdin) is not None:
                pipe.close()
            path = self._root / name / "answer.json"
            try:
                self._answers[name] = msgspec.json.decode(path.read_bytes(), type=Answer)
            except (OSError, msgspec.DecodeError):
                log = path.with_name("progress.log")
                self._answers[name] = Answer(problem=f"its process ended without an answer; see {log}")

    def _detail(self) -> str:
        """How far they are."""
        counts = [
            StageRecord(directory, path.name).counts()
            for directory in self.directories
            for path in directory.glob("stages/*")
        ]
        done, guests = sum(count for count, _ in counts), len(self._running())
        return f"{done} checks, in {guests} other guest{'' if guests == 1 else 's'}"
