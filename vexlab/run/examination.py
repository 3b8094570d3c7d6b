"""What is looked at while a playbook runs, and when something failed: this machine, the guest, what checks said."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages, last_look, taint

from vexlab.config.settings import Settings
from vexlab.errors import GuestProblem, make_room
from vexlab.guest import console_log, host_disks
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.guest.lab import Lab
from vexlab.results.model import DIED, Check, Verdict
from vexlab.results.stage_record import StageRecord
from vexlab.run.events import JUDGE, Clock, Event, GuestReady, LateReport, TaskEnded, TaskStarted
from vexlab.run.tracker import PREPARATIONS, State

MACHINE_EXIT = 74  # of the checks, when they can't write what they found; tests/stages/conftest.py ends with it
CHECKS_EXITS = (*range(6), 20)  # by which checks end by themselves: pytest's own, and that of a guest that is lost
LOOK_SECONDS = 2.0  # between two looks at this machine's disks
KILLED = "see whether it ran out of memory (dmesg), and run again"
GUEST_IS_FULL = "take a pristine guest (vexlab down, vexlab up); a source tree that big needs a bigger image"


class Examination:
    """Finds events that nobody sends. `root` is the directory of the run, `directory` that of this execution."""

    def __init__(self, lab: Lab, settings: Settings, *, root: Path, directory: Path, creates_guest: bool) -> None:
        """Prepare; nothing is looked at. `creates_guest`: the playbook makes the guest, in place of one before."""
        self._lab = lab
        self._settings = settings
        self._root = root
        self._directory = directory
        self._creates_guest = creates_guest
        self._looked = time.monotonic()

    def before(self, state: State, event: Event) -> Iterator[Event]:
        """Yield what has to be known before an event is taken, since it explains it."""
        match event:
            case TaskStarted(role=role):
                yield from self._ready(state, role)
            case TaskEnded() if state.open is not None:
                if event.action == JUDGE and event.outcome != "skipped" and event.exit_code != 0:
                    yield from self.machine(write=True)
                    yield from self._checks(state.open.name, event)
                elif event.went_wrong:
                    yield from self.machine(write=True)
            case Clock(at) if state.end is None and at - self._looked > LOOK_SECONDS:
                self._looked = at
                yield from self.machine()

    def machine(self, *, write: bool = False) -> Iterator[MachineProblem]:
        """Yield what keeps this machine from what a run needs of it, if anything does; `write`: a write is tried."""
        places = (self._root, self._lab.directory, Path(tempfile.gettempdir()))
        problem = host_disks.full_disk(places) or (host_disks.unwritable(places) if write else None)
        if problem is not None:
            yield problem

    def guest(self, *, failed: bool) -> GuestFailure | MachineProblem | LateReport | None:
        """Have the guest answer once more: what its kernel was about to say is said then, and the watch hears it."""
        try:
            places = ("/", str(self._settings.contract["vexlab_work_directory"])) if failed else ()
            flags, full = self._lab.last_look(places)
        except (GuestProblem, TimeoutError) as problem:
            return GuestFailure(Verdict.HUNG if isinstance(problem, TimeoutError) else Verdict.LOST, str(problem))
        if full:
            return _full_guest(f"the guest's own disk is full, at {full}")
        taints = self._settings.contract["vexlab_taints"]
        return late_report(self._directory, flags, taints, self._lab.directory / "console.log")

    def _ready(self, state: State, role: str) -> Iterator[GuestReady]:
        """Yield that the guest is ready, as soon as it is there and nobody replaces it any more.

        A machine that isn't a guest has no record, and nothing that could be watched.
        """
        if state.watched or role in PREPARATIONS or (self._creates_guest and state.preparing != "guest"):
            return
        if self._lab.record().get("state") == "ready":
            yield GuestReady()

    def _checks(self, stage: str, event: TaskEnded) -> Iterator[Event]:
        """Yield what checks that failed say of the guest and the machine."""
        if event.exit_code == MACHINE_EXIT:
            reason = f"what the checks found could not be written below {self._directory}"
            yield MachineProblem(reason, make_room(self._directory))
            return
        checks = StageRecord(self._directory, stage).finished_checks()
        unusable = next((check for check in checks if check.verdict in (*DIED, Verdict.NOT_RUN)), None)
        if unusable is not None:
            yield _of_check(unusable)
        elif event.exit_code is not None and event.exit_code not in CHECKS_EXITS:
            reason = f"the process that runs the checks was ended on this machine (exit code {event.exit_code})"
            yield MachineProblem(reason, KILLED)


def late_report(directory: Path, flags: int, of_the_module: Collection[str], console: Path) -> LateReport | None:
    """Return what the kernel told of a bug since the last checks looked: its taint flags say that, its console what.

    `of_the_module` are letters of the flags that the target says its module sets.
    """
    look = last_look.read(directory)
    letters = [] if look is None else taint.unexpected(look.taint, flags, of_the_module)
    if look is None or not letters:
        return None
    lines = [kernel_messages.stamped(line) for line in console_log.read(console).splitlines()]
    since = lines[lines.index(look.line) + 1 :] if look.line in lines else []
    told = kernel_messages.bug_told(since) or f"the kernel set taint flags {', '.join(letters)}"
    return LateReport(look.stage, told)


def _of_check(check: Check) -> GuestFailure | MachineProblem:
    """Return what a check says that found the guest unusable, or unfit to judge anything in."""
    if check.verdict in DIED:
        return GuestFailure(check.verdict, f"{check.name}: {check.message}")
    return _full_guest(check.message)


def _full_guest(reason: str) -> MachineProblem:
    """Return that the guest's own disk is full; no kernel panics of that."""
    return MachineProblem(reason, GUEST_IS_FULL, explains_panic=False)
