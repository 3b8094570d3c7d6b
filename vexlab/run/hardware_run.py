"""Work on a device of test hardware: the host held and claimed for a command, playbooks run there, a phase judged."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vexlab.config import phases
from vexlab.config.settings import Options, Settings
from vexlab.errors import GuestProblem, Interrupted, UsageProblem, VexlabError
from vexlab.gate import readiness_file
from vexlab.guest import hardware, machine_claim
from vexlab.guest.hardware import Host
from vexlab.guest.lab import Lab
from vexlab.report import screen
from vexlab.report.terminal import Progress
from vexlab.results import model
from vexlab.results.model import DeviceRecord
from vexlab.run import controller, scratch
from vexlab.run.events import Event, TaskEnded, TaskStarted
from vexlab.run.playbook import Playbook

IN_MEMORY = "/dev/shm"  # noqa: S108  where a host has room for Ansible's files though its disk is full
NO_BACKUP = "none"  # playbooks/device_test.yml knows it
AGAIN = "end what uses it; if nothing does, restart the machine; vexlab recover then tells whether anything is left"

OnLog = Callable[[Path], None]
"""Gets Ansible's log of a playbook that has ended, while it is there."""


def keep_quiet(_log: Path) -> None:
    """Do nothing with a log."""


@dataclass(frozen=True)
class Disk:
    """The device that a command is about, as the person named it."""

    host: Host
    inventory: str
    by_id: str
    serial: str
    on_log: OnLog

    def variables(self, **more: Any) -> dict[str, Any]:
        """Its part of the contract."""
        return {"vexlab_device": self.by_id, "vexlab_device_serial": self.serial} | more

    def command(self, verb: str, *more: str) -> str:
        """A command about this device, for people to type."""
        words = [
            "--inventory",
            self.inventory,
            "--host",
            self.host.name,
            "--device",
            self.by_id,
            "--serial",
            self.serial,
        ]
        return shlex.join(["vexlab", "device", verb, *words, *more])


@contextmanager
def prepared(host: Host, given: Options | None, of_device: dict[str, Any]) -> Iterator[tuple[Lab, Settings]]:
    """The host's directory for one command, its inventory written; without options for what needs no target."""
    lab = host.lab
    with lab.held():
        options = given and given.over(lab.remembered())
        settings = hardware.prepare(host, options, of_device)
        if options is not None:
            lab.remember(options.to_remember())
        yield lab, settings


@contextmanager
def held(host: Host, given: Options | None, of_device: dict[str, Any]) -> Iterator[tuple[Lab, Settings]]:
    """The same, and the host itself, which one controller at a time may have."""
    with prepared(host, given, of_device) as (lab, settings), claimed(host, lab):
        yield lab, settings


@contextmanager
def claimed(host: Host, lab: Lab, inventory: Path | None = None, *, take_over: bool = False) -> Iterator[None]:
    """Have the host alone for one command. `inventory`: another one than the lab's own that has the host."""

    def ask(state: str, who: dict[str, Any], instead_of: str) -> dict[str, Any] | None:
        more = {
            "vexlab_claim_state": state, "vexlab_claim": who, "vexlab_claim_instead_of": instead_of,
            "vexlab_claim_hosts": host.name,
        }  # fmt: skip
        facts = run_and_tell("claim", lab, more, remote_tmp=IN_MEMORY, inventory=inventory)
        holder: dict[str, Any] | None = facts["vexlab_claim_result"]["holder"]
        return holder

    with machine_claim.held(host.name, ask, take_over=take_over):
        yield


WHAT_IT_DOES = {
    "claim": "asking whether the machine is free", "device_check": "looking at the device",
    "device_backup": "backing the device up", "device_restore": "restoring the device", "recover": "taking down",
}  # fmt: skip
"""What a playbook does, for a person who waits for it."""


def play(name: str, disk: Disk, given: Options | None, **more: Any) -> dict[str, Any]:
    """Run a playbook on the device's host; the facts that it told. Raises when it failed."""
    with held(disk.host, given, disk.variables(**more)) as (lab, _):
        return run_and_tell(name, lab, {}, disk.on_log)


def run_and_tell(
    name: str, lab: Lab, variables: dict[str, Any], on_log: OnLog = keep_quiet, *, remote_tmp: str = "",
    inventory: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a playbook; the facts that it told. An unreachable host is a GuestProblem, a refusal a VexlabError."""
    facts: dict[str, Any] = {}

    task = ""

    def listen(event: Event) -> bool:
        nonlocal task
        facts.update(event.facts if isinstance(event, TaskEnded) else {})
        task = event.task if isinstance(event, TaskStarted) else task
        progress.tick()
        return False

    with scratch.directory() as directory, Progress(screen.stderr) as progress:
        progress.wait_for(WHAT_IT_DOES.get(name, name), lambda: task)
        log = directory / "ansible.log"
        outcome = Playbook(name, lab, variables, log, remote_tmp=remote_tmp, inventory=inventory).run(listen)
        on_log(log)
        if outcome.ok:
            return facts
        if outcome.failure is None:
            raise VexlabError(f"Ansible failed: {log.read_text()[-600:]}")
        kind = GuestProblem if outcome.failure.outcome == "unreachable" else VexlabError
        raise kind(outcome.failure.message)


def _recovered(lab: Lab, directory: Path, disk: Disk) -> str:
    """Take everything down; what is left, in a sentence, empty when nothing is. Raises Interrupted alone."""
    variables = {"vexlab_recover_hosts": hardware.GROUP, "vexlab_run_directory": str(directory)}
    try:
        log = directory / "recover.log"
        outcome = Playbook("recover", lab, variables, log, remote_tmp=IN_MEMORY).run()
        disk.on_log(log)
    except Interrupted:
        raise
    except (VexlabError, OSError) as problem:
        return f"{lab.name} could not be taken down: {problem}"
    return "" if outcome.ok else outcome.failure.message if outcome.failure else "Ansible failed; see recover.log"


def require_readiness(settings: Settings) -> None:
    """Refuse before anything is done what role vexfs_load would refuse whatever the module is."""
    named = str(settings.contract["vexlab_readiness"])
    if not named:
        raise UsageProblem("no readiness file is named", "vexlab gate --for device writes it; --readiness FILE")
    asked = {
        "level": "device", "parameters": settings.contract["vexlab_module_parameters"],
        "options_ro": settings.contract["vexlab_mount_options_ro"],
        "options_rw": settings.contract["vexlab_mount_options_rw"],
    }  # fmt: skip
    if refusals := readiness_file.refusals(Path(named), asked, datetime.now(UTC)):
        raise UsageProblem(f"{named} is refused: {'; '.join(refusals)}", "vexlab gate --for device writes another one")


def run_phase(
    lab: Lab, settings: Settings, disk: Disk, chosen: phases.Phase, saved: str, *, progress: Progress
) -> tuple[model.Run, controller.RunController]:
    """Run the stages of a phase, then take everything down, whatever came of it.

    `saved` is the backup of the device, or NO_BACKUP. Raises VexlabError, which tells how the device gets its content
    back, when the run broke off after it had begun.
    """
    of_run = DeviceRecord(disk.by_id, disk.serial, chosen.phase)
    course = controller.RunController(lab, settings, chosen.stages, progress, applied=chosen.applied, device=of_run)
    try:
        run = course.execute("device_test", fail_fast=True, take_down=lambda: _recovered(lab, course.directory, disk))
    except (VexlabError, OSError) as problem:
        if not course.began:
            raise
        told = problem if isinstance(problem, VexlabError) else VexlabError(str(problem))
        left = f"{lab.name} was not taken down to the end" if course.left_behind is None else course.left_behind
        raise with_way_back(told, left, disk, saved) from None
    finally:
        disk.on_log(course.directory / "ansible.log")
    return run, course


def with_way_back(problem: VexlabError, left: str, disk: Disk, saved: str) -> VexlabError:
    """The problem with what is left on the host, and how the device gets its content back."""
    lost = "there is no backup: its content is lost"
    back = lost if saved == NO_BACKUP else disk.command("restore", "--backup", saved)
    message = f"{problem.message}\n{left}" if left else f"{problem.message}\n{disk.host.name} is unmounted and unloaded"
    hint = f"{AGAIN}; then: {back}" if left else f"to restore the device: {back}"
    return type(problem)(message, hint, problem.exit_code)
