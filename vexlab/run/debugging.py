"""A check that a person debugs: the guest is brought to where the check begins, and the check waits where it is to.

No run comes of it, and no verdict: it has a directory of its own for as long as it goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vexlab.config import check_list, installation, literals, stage_list
from vexlab.config.settings import Settings
from vexlab.errors import VexlabError
from vexlab.guest.lab import Lab, guest_status
from vexlab.report.terminal import Progress
from vexlab.results.model import Check, Stage
from vexlab.results.stage_record import Held, StageRecord
from vexlab.run import ansible_environment, plain_playbooks, replan
from vexlab.run.playbook_run import PlaybookRun
from vexlab.run.replan import Plan

BEGIN, BEFORE, FAILED, PASSED = "begin", "before", "failed", "passed"  # where a check waits
DEAD = ("guest-panicked", "shutdown", "internal-error")  # what QEMU says of a guest that won't answer any more
LOOK_SECONDS = 0.2
# ssh by itself gives up a guest that says nothing for half a minute, which one does that stands still under gdb.
PATIENT_SSH = "-o ControlPath=none -o ServerAliveInterval=0"


def begins_at_checkpoint(stage: str) -> bool:
    """Whether all that the checks of a stage stand on is there when a guest is saved."""
    return stage in replan.since_checkpoint(stage_list.stages())


def way_to(stage: str, checkpoint: str) -> Plan:
    """What brings everything about that the checks of a stage stand on, and judges nothing."""
    specs = stage_list.stages()
    own = (stage,) if stage_list.spec_of(stage).role else ()
    return Plan("up", (), (*replan.needed(specs, (stage,)), *own), fresh=True, checkpoint=checkpoint)


def bring_about(
    lab: Lab, settings: Settings, plan: Plan, root: Path, *, progress: Progress, on_stage: Callable[[], None]
) -> Stage | None:
    """Follow a plan that judges nothing; returns the stage that went wrong on the way, if one did.

    `on_stage` is called after each stage. Raises what kept the first one from beginning, or this machine from going on.
    """
    part = PlaybookRun(lab, settings, plan, root=root, directory=root, progress=progress)
    part.execute(on_stage)
    if (problem := part.problem()) is not None:
        raise problem
    return next(iter(part.seen().stages.values()), None)


def go_on(lab: Lab, checkpoint: str, root: Path, progress: Progress) -> bool:
    """Start a guest from the one that was saved under this name; False when that can't be."""
    variables = {"vexlab_checkpoint": checkpoint, "vexlab_from_checkpoint": True}
    progress.begin("guest", lambda: "")
    outcome = plain_playbooks.run_plain(
        "guest_create", lab, variables, root / "ansible.log", plain_playbooks.shown_by(progress)
    )
    note = "goes on from the one that was saved" if outcome.ok else "none was saved; all is brought about"
    progress.end("guest", note)
    if outcome.ok:
        lab.remember_image(Path(lab.record()["parameters"]["image"]).name)
    return outcome.ok


class DebuggedCheck:
    """The checks of one stage that a name means, in a process of their own. `end` must be called."""

    def __init__(self, lab: Lab, settings: Settings, stage: str, names: Sequence[str], root: Path) -> None:
        """Prepare; nothing is started. `root` is the directory for all that comes of it."""
        self._lab = lab
        self._stage = stage
        self._root = root
        self._contract = settings.contract
        self.record = StageRecord(root, stage)
        self.record.choose(only=names, leave_out=())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *at: str, is_patient: bool) -> None:
        """Start them; they wait at these points. `is_patient`: the guest may stand still for as long as it likes."""
        self.record.hold(*at, is_patient=is_patient)
        inventory = self._root / "inventory.yml"
        inventory.write_text(literals.to_yaml(self._inventory()), encoding="utf-8")
        words = check_list.pytest_words(self._stage, self._root, f"ansible://{self._lab.name}", inventory)
        environment = ansible_environment.of_checks(self._root)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pytest", *words], env=environment, cwd=self._root,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> Path:
        """What pytest says."""
        return self._root / "pytest.log"

    def wait(self, tick: Callable[[], None]) -> Held | None:
        """Wait until a check waits, or all have ended, or the guest is dead; where it waits, or None."""
        while self._process is not None and self._process.poll() is None:
            if (held := self.record.held()) is not None:
                return held
            if self.is_dead():
                return None
            tick()
            time.sleep(LOOK_SECONDS)
        return None

    def is_dead(self) -> bool:
        """Whether the guest can't answer any more."""
        return guest_status(self._lab.record()) in DEAD or not self._lab.is_up()

    def finished(self) -> tuple[Check, ...]:
        """The checks that have ended; raises VexlabError when pytest could not run any."""
        checks = self.record.finished_checks()
        if not checks and self._process is not None and self._process.poll():
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise VexlabError(f"the check could not be run:\n{last}")
        return checks

    def end(self) -> None:
        """End the process, wherever the check is; what it has made in the guest stays there."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _inventory(self) -> dict[str, object]:
        """The guest as its own inventory has it, reached by a connection that is patient."""
        name = self._lab.name
        entry = installation.read_yaml(self._lab.guest_entry)["vexlab"]["children"]["guests"]["hosts"][name]
        patient = {"ansible_ssh_common_args": f"{PATIENT_SSH} {entry['ansible_ssh_common_args']}"}
        return {"all": {"hosts": {name: {**self._contract, **entry, **patient}}}}
