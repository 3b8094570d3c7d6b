"""`vexlab device check|backup|test|restore`: the commands that work on a device of test hardware."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from vexlab.cli.common import (
    Command,
    amount_options,
    json_option,
    name_unreadable,
    source_options,
    stderr,
    verbose_option,
    with_all,
)
from vexlab.config import phases
from vexlab.config.settings import Options, Settings
from vexlab.errors import GuestProblem, Interrupted, StageFailed, UsageProblem, VexlabError
from vexlab.gate import evidence, phase_order, readiness_file
from vexlab.guest import hardware, machine_claim
from vexlab.guest.hardware import Host
from vexlab.guest.lab import Lab
from vexlab.report import markdown
from vexlab.report.terminal import Progress
from vexlab.results import model
from vexlab.results.model import DeviceRecord, Verdict
from vexlab.run import controller, scratch
from vexlab.run.events import Event, TaskEnded
from vexlab.run.playbook import Playbook

IN_MEMORY = "/dev/shm"  # noqa: S108  where a host has room for Ansible's files though its disk is full
NO_BACKUP = "none"  # playbooks/device_test.yml knows it
AGAIN = "end what uses it; if nothing does, restart the machine; vexlab recover then tells whether anything is left"


@dataclass(frozen=True)
class Disk:
    """The device that a command is about, as the person named it."""

    host: Host
    inventory: str
    by_id: str
    serial: str
    verbose: bool

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


def disk_options(command: Command) -> Command:
    """Where the device is, and what tells it from every other."""

    @functools.wraps(command)
    def wrapper(inventory: str, host: str | None, by_id: str, serial: str, verbose: bool, **given: Any) -> None:
        found = hardware.find(Path(inventory), host)
        command(disk=Disk(found, inventory, by_id, serial, verbose), **given)

    options = [
        click.option("--inventory", required=True, metavar="FILE", help="Ansible inventory with a group `hardware`."),
        click.option("--host", metavar="NAME", help="The host; needed when the group has more than one."),
        click.option("--device", "by_id", required=True, metavar="/dev/disk/by-id/NAME", help="The whole disk."),
        click.option("--serial", required=True, help="Its serial number, as you read it off the disk."),
        verbose_option,
    ]
    return with_all(options, wrapper)


overwrite_option = click.option(
    "--overwrite", multiple=True, metavar="TYPE", help="A signature that the device may lose, such as ext4."
)


@click.group("device")
def device_group() -> None:
    """Test on a disk that nobody needs, in three phases: check, backup, test, restore."""


@device_group.command()
@disk_options
@source_options
@overwrite_option
def check(disk: Disk, overwrite: tuple[str, ...], **given: Any) -> None:
    """Tell what the device is, and whether it may be written. Changes nothing."""
    more = disk.variables(vexlab_device_overwrite=list(overwrite))
    with _prepared(disk.host, Options(**given).absolute(), more) as (lab, _):
        facts = run_and_tell("device_check", lab, {}, disk.verbose)
    found = facts["vexfs_mkfs_result"]
    lost = (
        f", carries {', '.join(found['signatures'])}, which goes" if found["signatures"] else ", carries nothing known"
    )
    size = f"{found['size'] >> 20} MiB"
    stderr.print(f"{disk.by_id} is {found['path']} of {disk.host.name}, {size}{lost}; it may be written", markup=False)


@device_group.command()
@disk_options
@click.option("--to", "directory", metavar="DIR", help="Directory of the host for the backup.")
@click.option("--json", "as_json", is_flag=True, help="Print the backup's record on stdout.")
def backup(disk: Disk, directory: str | None, as_json: bool) -> None:
    """Back the device up into a file on its own host, and read that back."""
    more = {"vexlab_backups": directory} if directory else {}
    record = play("device_backup", disk, None, **more)["vexlab_backup_result"]
    stderr.print(
        f"{record['file']} on {disk.host.name}: {record['size']} bytes, sha256 {record['sha256']}", soft_wrap=True
    )
    stderr.print(f"→ {disk.command('test', '--phase', '1', '--backup', record['file'])}", soft_wrap=True, markup=False)
    if as_json:
        click.echo(json.dumps(record, indent=2))


@device_group.command()
@disk_options
@click.option("--backup", "file", required=True, metavar="FILE", help="The backup, on the device's host.")
def restore(disk: Disk, file: str) -> None:
    """Overwrite the device with its backup, and read it back."""
    record = play("device_restore", disk, None, vexlab_device_backup=file)["vexlab_backup_result"]
    stderr.print(f"{disk.by_id} holds what it held on {record['when']}: sha256 {record['sha256']}", soft_wrap=True)


@device_group.command()
@disk_options
@click.option("--phase", type=click.IntRange(1, 3), required=True, help="1 read-only, 2 read-write, 3 stress.")
@click.option("--backup", "file", metavar="FILE", help="The device's backup, on its host.")
@click.option("--no-backup", is_flag=True, help="Nobody wants the content of the device back.")
@click.option("--readiness", metavar="FILE", help="The module's readiness file; vexlab gate writes it.")
@overwrite_option
@source_options
@amount_options
@click.option("--quick", is_flag=True, default=None, help="Do less in stage stress. Counts for no later phase.")
@json_option
def test(
    *, disk: Disk, phase: int, file: str | None, no_backup: bool, readiness: str | None, overwrite: tuple[str, ...],
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Run one phase of the test on the device; what is on it is lost.

    Phase 2 is allowed after phase 1 passed on this device for the very same module, phase 3 after phase 2. Afterwards
    everything is unmounted and unloaded, whatever came of it.
    """
    if bool(file) == no_backup:
        what = "both --backup and --no-backup are given" if file else "no backup is named"
        raise UsageProblem(what, f"{disk.command('backup')} makes one; --no-backup does without")
    saved = file or NO_BACKUP
    past, unreadable = evidence.on_hardware()
    name_unreadable(unreadable)
    more = {
        "vexlab_phase": phase, "vexlab_device_backup": saved, "vexlab_device_overwrite": list(overwrite),
        "vexlab_earlier_modules": phase_order.allowed_modules(past, disk.serial, phase),
    }  # fmt: skip
    if readiness is not None:  # else the one that the inventory names
        more["vexlab_readiness"] = str(Path(readiness).absolute())
    with _held(disk.host, Options(**given).absolute(), disk.variables(**more)) as (lab, settings):
        _require_readiness(settings)
        stderr.print(f"phase {phase} of {settings.target_name} on {disk.by_id} of {lab.name}", markup=False)
        run, course = _run_phase(lab, settings, disk, phases.phase(phase), saved)
    if as_json:
        click.echo(markdown.render_json(run), nl=False)
    stderr.print(f"evidence: {course.directory}", soft_wrap=True)
    if run.verdict is not Verdict.PASSED:
        problem = StageFailed(f"phase {phase} {run.verdict}: {_cause(run)}")
        raise _with_way_back(problem, course.left_behind or "", disk, saved)
    stderr.print(f"phase {phase} passed{_what_next(disk, phase, saved)}", soft_wrap=True, markup=False)


def _what_next(disk: Disk, phase: int, saved: str) -> str:
    """The command to go on with after a phase that passed, if there is one."""
    words = ["--no-backup"] if saved == NO_BACKUP else ["--backup", saved]
    if phase < phases.phases()[-1].phase:
        return f"; next: {disk.command('test', '--phase', str(phase + 1), *words)}"
    return "" if saved == NO_BACKUP else f"; next: {disk.command('restore', *words)}"


def _require_readiness(settings: Settings) -> None:
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


def _run_phase(
    lab: Lab, settings: Settings, disk: Disk, chosen: phases.Phase, saved: str
) -> tuple[model.Run, controller.RunController]:
    """Run the stages of a phase, then take everything down, whatever came of it."""
    with Progress(stderr) as progress:
        of_run = DeviceRecord(disk.by_id, disk.serial, chosen.phase)
        course = controller.RunController(lab, settings, chosen.stages, progress, applied=chosen.applied, device=of_run)
        try:
            run = course.execute(
                "device_test", fail_fast=True, take_down=lambda: _recovered(lab, course.directory, disk)
            )
        except (VexlabError, OSError) as problem:
            if not course.began:
                raise
            told = problem if isinstance(problem, VexlabError) else VexlabError(str(problem))
            left = f"{lab.name} was not taken down to the end" if course.left_behind is None else course.left_behind
            raise _with_way_back(told, left, disk, saved) from None
        finally:
            show_log(course.directory / "ansible.log", disk.verbose)
        return run, course


def _cause(run: model.Run) -> str:
    """The first stage that went wrong, or was not reached, and why."""
    wrong = [stage for stage in run.stages if stage.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)]
    missing = [stage for stage in run.stages if stage.name in run.selected and stage.verdict is Verdict.NOT_RUN]
    culprit = next(iter([*wrong, *missing]))
    return f"stage {culprit.name}: {culprit.reason or culprit.verdict}"


def _saved_words(saved: str) -> list[str]:
    return ["--no-backup"] if saved == NO_BACKUP else ["--backup", saved]


def _with_way_back(problem: VexlabError, left: str, disk: Disk, saved: str) -> VexlabError:
    """The problem with what is left on the host, and how the device gets its content back."""
    lost = "there is no backup: its content is lost"
    back = lost if saved == NO_BACKUP else disk.command("restore", "--backup", saved)
    message = f"{problem.message}\n{left}" if left else f"{problem.message}\n{disk.host.name} is unmounted and unloaded"
    hint = f"{AGAIN}; then: {back}" if left else f"to restore the device: {back}"
    return type(problem)(message, hint, problem.exit_code)


def _recovered(lab: Lab, directory: Path, disk: Disk) -> str:
    """Take everything down; what is left, in a sentence, empty when nothing is. Raises Interrupted alone."""
    variables = {"vexlab_recover_hosts": hardware.GROUP, "vexlab_run_directory": str(directory)}
    try:
        log = directory / "recover.log"
        outcome = Playbook("recover", lab, variables, log, remote_tmp=IN_MEMORY).run()
        show_log(log, disk.verbose)
    except Interrupted:
        raise
    except (VexlabError, OSError) as problem:
        return f"{lab.name} could not be taken down: {problem}"
    return "" if outcome.ok else outcome.failure.message if outcome.failure else "Ansible failed; see recover.log"


@contextmanager
def _prepared(host: Host, given: Options | None, of_device: dict[str, Any]) -> Iterator[tuple[Lab, Settings]]:
    """The host's directory for one command, its inventory written; without options for what needs no target."""
    lab = host.lab
    with lab.held():
        options = given and given.over(lab.remembered())
        settings = hardware.prepare(host, options, of_device)
        if options is not None:
            lab.remember(options.to_remember())
        yield lab, settings


@contextmanager
def _held(host: Host, given: Options | None, of_device: dict[str, Any]) -> Iterator[tuple[Lab, Settings]]:
    """The same, and the host itself, which one controller at a time may have."""
    with _prepared(host, given, of_device) as (lab, settings), claimed(host, lab):
        yield lab, settings


@contextmanager
def claimed(host: Host, lab: Lab, inventory: Path | None = None, *, take_over: bool = False) -> Iterator[None]:
    """Have the host alone for one command. `inventory`: another one than the lab's own that has the host."""

    def ask(verb: str, who: dict[str, Any], instead_of: str) -> dict[str, Any] | None:
        more = {
            "vexlab_claim_verb": verb, "vexlab_claim": who, "vexlab_claim_instead_of": instead_of,
            "vexlab_claim_hosts": host.name,
        }  # fmt: skip
        facts = run_and_tell("claim", lab, more, verbose=False, remote_tmp=IN_MEMORY, inventory=inventory)
        holder: dict[str, Any] | None = facts["vexlab_claim_result"]["holder"]
        return holder

    with machine_claim.held(host.name, ask, take_over=take_over):
        yield


def play(name: str, disk: Disk, given: Options | None, **more: Any) -> dict[str, Any]:
    """Run a playbook on the device's host; the facts that it told. Raises when it failed."""
    with _held(disk.host, given, disk.variables(**more)) as (lab, _):
        return run_and_tell(name, lab, {}, disk.verbose)


def run_and_tell(
    name: str, lab: Lab, variables: dict[str, Any], verbose: bool, *, remote_tmp: str = "",
    inventory: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a playbook; the facts that it told. An unreachable host is a GuestProblem, a refusal a VexlabError."""
    facts: dict[str, Any] = {}

    def listen(event: Event) -> bool:
        facts.update(event.facts if isinstance(event, TaskEnded) else {})
        return False

    with scratch.directory() as directory:
        log = directory / "ansible.log"
        outcome = Playbook(name, lab, variables, log, remote_tmp=remote_tmp, inventory=inventory).run(listen)
        show_log(log, verbose)
        if outcome.ok:
            return facts
        if outcome.failure is None:
            raise VexlabError(f"Ansible failed: {log.read_text()[-600:]}")
        kind = GuestProblem if outcome.failure.outcome == "unreachable" else VexlabError
        raise kind(outcome.failure.message)


def show_log(log: Path, verbose: bool) -> None:
    """Print Ansible's output of a command that was asked to."""
    if verbose and log.is_file():
        stderr.print(log.read_text(), markup=False)
