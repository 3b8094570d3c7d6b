"""`vexlab device check|backup|test|restore`: the commands that work on a device of test hardware."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import click

from vexlab.cli.common import json_option, name_unreadable, show_log, stderr, stdout, verbose_option
from vexlab.cli.first_screen import WholeSentences
from vexlab.cli.options import Command, amount_options, of_source, source_options, with_all
from vexlab.config import phases
from vexlab.errors import StageFailed, UsageProblem
from vexlab.gate import evidence, phase_order
from vexlab.guest import hardware
from vexlab.report import markdown
from vexlab.report.terminal import Progress
from vexlab.results import model
from vexlab.results.model import Verdict
from vexlab.run.hardware_run import (
    NO_BACKUP,
    Disk,
    OnLog,
    held,
    play,
    prepared,
    require_readiness,
    run_and_tell,
    run_phase,
    with_way_back,
)


def disk_path(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check the path of a disk as it is typed; raises BadParameter for one that names it by what can change."""
    if value is not None and not re.fullmatch(r"/dev/disk/by-id/(?!\.{1,2}$)[^/]+", value):
        raise click.BadParameter(
            f"{value!r} is not /dev/disk/by-id/NAME; `ls -l /dev/disk/by-id` on the host lists them."
        )
    return value


def serial_number(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a serial number as it is typed; raises BadParameter for none."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; `lsblk -o NAME,SERIAL` on the host shows it.")
    return value


def path_on_host(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a path on the device's host; raises BadParameter for a relative one, which nothing could be relative to."""
    if value is not None and not value.startswith("/"):
        raise click.BadParameter(f"{value!r} is not an absolute path of the device's host.")
    return value


def signatures(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Check types of signatures as they are typed; raises BadParameter for what wipefs can't call one."""
    for value in values:
        if not re.fullmatch(r"[\w.+-]+", value):
            raise click.BadParameter(f"{value!r} is not the type of a signature; `wipefs DEVICE` shows them.")
    return values


def disk_options(command: Command) -> Command:
    """Where the device is, and what tells it from every other."""

    @functools.wraps(command)
    def wrapper(inventory: str, host: str | None, by_id: str, serial: str, verbose: bool, **given: Any) -> None:
        found = hardware.find(Path(inventory), host)
        command(disk=Disk(found, inventory, by_id, serial, log_printer(verbose)), **given)

    options = [
        click.option("--inventory", required=True, metavar="FILE", help="Ansible inventory with a group `hardware`."),
        click.option(
            "--host", metavar="NAME", help="The host of that group; it may be left out when there is only one."
        ),
        click.option(
            "--device",
            "by_id",
            required=True,
            callback=disk_path,
            metavar="/dev/disk/by-id/NAME",
            help="Path of the whole disk.",
        ),
        click.option(
            "--serial",
            required=True,
            callback=serial_number,
            metavar="SERIAL",
            help="Serial number of the disk, as you read it off it.",
        ),
        verbose_option,
    ]
    return with_all(options, wrapper)


overwrite_option = click.option(
    "--overwrite",
    multiple=True,
    callback=signatures,
    metavar="TYPE",
    help="A signature that the device may lose, such as ext4; may be given more than once.",
)


@click.group("device", cls=WholeSentences)
def device_group() -> None:
    """Test on a disk that nobody needs, in three phases."""


@device_group.command()
@disk_options
@source_options
@overwrite_option
@json_option
def check(disk: Disk, overwrite: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Tell what the device is, and whether it may be written. Changes nothing."""
    more = disk.variables(vexlab_device_overwrite=list(overwrite))
    with prepared(disk.host, of_source(given), more) as (lab, _):
        facts = run_and_tell("device_check", lab, {}, disk.on_log)
    found = facts["vexfs_mkfs_result"]
    lost = (
        f", carries {', '.join(found['signatures'])}, which goes" if found["signatures"] else ", carries nothing known"
    )
    size = f"{found['size'] >> 20} MiB"
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        stdout.say(f"{disk.by_id} is {found['path']} of {disk.host.name}, {size}{lost}; it may be written")


@device_group.command()
@disk_options
@click.option(
    "--to",
    "directory",
    callback=path_on_host,
    metavar="DIR",
    help="Directory of the host in which the backup is written.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the backup's record on stdout.")
def backup(disk: Disk, directory: str | None, as_json: bool) -> None:
    """Back the device up into a file on its own host, and read that back."""
    more = {"vexlab_backups": directory} if directory else {}
    record = play("device_backup", disk, None, **more)["vexlab_backup_result"]
    stderr.say(f"{record['file']} on {disk.host.name}: {record['size']} bytes, sha256 {record['sha256']}")
    stderr.say(f"→ {disk.command('test', '--phase', '1', '--backup', record['file'])}")
    if as_json:
        click.echo(json.dumps(record, indent=2))


@device_group.command()
@disk_options
@click.option(
    "--backup",
    "file",
    required=True,
    callback=path_on_host,
    metavar="FILE",
    help="Path of the backup on the device's host.",
)
def restore(disk: Disk, file: str) -> None:
    """Overwrite the device with its backup, and read it back."""
    record = play("device_restore", disk, None, vexlab_device_backup=file)["vexlab_backup_result"]
    stderr.say(f"{disk.by_id} holds what it held on {record['when']}: sha256 {record['sha256']}")


@device_group.command()
@disk_options
@click.option(
    "--phase",
    metavar="1|2|3",
    type=click.IntRange(1, 3),
    required=True,
    help="Number of the phase: 1 is read-only, 2 read-write, 3 stress.",
)
@click.option(
    "--backup", "file", callback=path_on_host, metavar="FILE", help="Path of the device's backup on its host."
)
@click.option("--no-backup", is_flag=True, help="Do without a backup: nobody wants the content back.")
@click.option("--readiness", metavar="FILE", help="Readiness file of the module, as vexlab gate writes it.")
@overwrite_option
@source_options
@amount_options
@click.option(
    "--quick",
    is_flag=True,
    default=None,
    help="Do less in stage stress, mostly a quarter; the run counts for no later phase.",
)
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
    with held(disk.host, of_source(given), disk.variables(**more)) as (lab, settings):
        require_readiness(settings)
        stderr.say(f"phase {phase} of {settings.target_name} on {disk.by_id} of {lab.name}")
        with Progress(stderr) as progress:
            run, course = run_phase(lab, settings, disk, phases.phase(phase), saved, progress=progress)
    if as_json:
        click.echo(markdown.render_json(run), nl=False)
    stderr.say(f"evidence: {course.directory}")
    if run.verdict is not Verdict.PASSED:
        problem = StageFailed(f"phase {phase} {run.verdict}: {_cause(run)}")
        raise with_way_back(problem, course.left_behind or "", disk, saved)
    stderr.say(f"phase {phase} passed{_what_next(disk, phase, saved)}")


def _what_next(disk: Disk, phase: int, saved: str) -> str:
    """The command to go on with after a phase that passed, if there is one."""
    words = ["--no-backup"] if saved == NO_BACKUP else ["--backup", saved]
    if phase < phases.phases()[-1].phase:
        return f"; next: {disk.command('test', '--phase', str(phase + 1), *words)}"
    return "" if saved == NO_BACKUP else f"; next: {disk.command('restore', *words)}"


def _cause(run: model.Run) -> str:
    """The first stage that went wrong, or was not reached, and why."""
    wrong = [stage for stage in run.stages if stage.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)]
    missing = [stage for stage in run.stages if stage.name in run.selected and stage.verdict is Verdict.NOT_RUN]
    culprit = next(iter([*wrong, *missing]))
    return f"stage {culprit.name}: {culprit.reason or culprit.verdict}"


def log_printer(verbose: int) -> OnLog:
    """What prints Ansible's output of a playbook when it was asked for."""
    return lambda log: show_log(log, min(verbose, 1))  # at the end, whatever was asked for
