"""The commands. Each is a few lines: what is asked for goes to the module that does it."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vexlab import __version__, cli_device, cli_gate, content, doctor, gate, report, results, runs, unchanged
from vexlab import lab as labs
from vexlab.errors import HostProblem, Interrupted, StageFailed, UsageProblem, VexlabError
from vexlab.lab import Lab, name_option
from vexlab.progress import STYLES, Progress, clock, summary
from vexlab.results import Run, Verdict
from vexlab.settings import Options, Settings, make

stderr = Console(stderr=True, highlight=False)
Command = Callable[..., Any]
BUILDERS = ("auto", *content.role_choices("vexfs_build", "vexfs_build_builder"))


def lab_option(command: Command) -> Command:
    """`--name LAB`."""
    default = content.contract_defaults()["vexlab_lab"]
    return click.option("--name", default=default, show_default=True, metavar="LAB", help="Name of the lab.")(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def clean_option(command: Command) -> Command:
    """`--clean`."""
    return click.option("--clean", is_flag=True, help="Build everything anew.")(command)


def stage_option(meaning: str) -> Callable[[Command], Command]:
    """`--stage STAGE`, which may be given more than once."""
    return click.option("--stage", "chosen", multiple=True, metavar="STAGE", help=meaning)


def target_options(command: Command) -> Command:
    """What may be asked of a lab; the lab remembers it until it is destroyed."""
    options = [
        click.option("--source", metavar="DIR", help="Source tree to test, instead of the one that the target names."),
        click.option("--target", metavar="FILE", help="Target file (docs/targets.md); default: the bundled VexFS."),
        click.option("--variant", metavar="c-only|full", help="Which build."),
        click.option("--kernel", metavar="SUITE", help="Debian suite that kernel and root filesystem come from."),
        click.option(
            "--accelerator", type=click.Choice(content.role_choices("vexlab_guest", "vexlab_guest_accelerator"))
        ),
        click.option("--memory", "memory_mb", type=click.IntRange(min=512), metavar="MIB", help="Memory of the guest."),
        click.option("--cpus", type=click.IntRange(min=1), help="CPUs of the guest."),
        click.option("--ssh-port", type=click.IntRange(1024, 65535), help="First port tried for ssh on 127.0.0.1."),
        click.option("--boot-deadline", type=click.IntRange(min=1), metavar="SECONDS", help="Until ssh must answer."),
        click.option("--warm/--cold", default=None, help="Start from a saved guest (default), or boot."),
        click.option("--builder", type=click.Choice(BUILDERS), help="Where the module is built."),
        click.option("--vmcore", is_flag=True, default=None, help="Keep the memory of a guest that crashes or hangs."),
        click.option("-v", "--verbose", is_flag=True, help="Show Ansible's output afterwards."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vexlab")
def cli() -> None:
    """Test a Linux filesystem that is a kernel module, in a VM that may crash.

    vexlab up    ends with the filesystem mounted in a guest and a verdict for each stage on the way.
    vexlab test  runs every stage on a pristine guest, stress and errors too.
    """


# --- Running stages


def with_options(command: Command) -> Command:
    """Collect the target options into one `Options`."""
    names = [field.name for field in dataclasses.fields(Options)]

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        options = Options(**{name: given.pop(name, None) for name in names}).absolute()
        command(options=options, **given)

    return target_options(wrapper)


@cli.command()
@lab_option
@json_option
@clean_option
@with_options
def up(name: str, as_json: bool, clean: bool, options: Options, verbose: bool) -> None:
    """Bring up a guest with the filesystem built, loaded, formatted and mounted in it.

    On a lab that is up, only what changed is done again. Options are remembered until the lab is destroyed.
    """
    order = _order(name, options, as_json=as_json, verbose=verbose)
    with order.lab.held():
        inputs = unchanged.inputs_of(order.settings)
        if not clean and (run := unchanged.last_run(order.lab, order.settings, inputs)):
            _show_unchanged(order, run)
            return
        run = _run_stages(order, [spec.name for spec in content.stages() if spec.up], "up", clean=clean)
        unchanged.remember(order.lab, order.settings, run, inputs)


def _say_what(order: Order) -> None:
    """The lab, its target, and where the source is."""
    settings = order.settings
    where = settings.source or settings.contract["vexlab_source_in_guest"] + " in the guest"
    what = f"lab {order.lab.name}: target {settings.target_name}, source {where}"
    stderr.print(what, markup=False, soft_wrap=True)


def _show_unchanged(order: Order, run: Run) -> None:
    """Say that nothing is done, and whose verdicts stand."""
    _say_what(order)
    if order.as_json:
        click.echo(report.render_json(run), nl=False)
    stderr.print(verdict_table(run))
    again = f"vexlab verify{name_option(order.lab.name)} judges it again"
    stderr.print(f"nothing changed since {run.run}, whose verdicts these are; {again}", soft_wrap=True)


@cli.command()
@lab_option
@json_option
@click.option("--keep", is_flag=True, help="Leave the guest up afterwards.")
@stage_option("Only this stage, and those before it that it can't do without; may be given more than once.")
@click.option("--cycles", type=click.IntRange(min=1), metavar="N", help="How often stage stress loads, and mounts.")
@click.option("--seed", type=click.IntRange(min=1), metavar="N", help="Seed of stage stress, to repeat what failed.")
@click.option("--quick", is_flag=True, default=None, help="Do less of everything in stage stress; the same checks.")
@click.option("--keep-going", is_flag=True, help="Go on after a stage that went wrong with those that don't need it.")
@click.option("--rerun", type=click.IntRange(min=1), metavar="N", help="Run the check that went wrong N times again.")
@clean_option
@with_options
def test(
    *,
    name: str,
    as_json: bool,
    keep: bool,
    keep_going: bool,
    rerun: int | None,
    clean: bool,
    chosen: tuple[str, ...],
    options: Options,
    verbose: bool,
) -> None:
    """Run every stage on a pristine guest, and take the guest down at the end."""
    selected = content.stages_for(chosen)
    order = _order(name, options, as_json=as_json, verbose=verbose)
    with order.lab.held():
        if order.lab.is_up():
            stderr.print(f"the guest of lab {name} is replaced by a pristine one")
            _end_guest(order.lab, "stopped")
        try:
            _run_stages(order, selected, "up", clean=clean, keep_going=keep_going, reruns=rerun or 0)
        finally:
            if not keep:
                _end_guest(order.lab, "stopped")


@cli.command()
@lab_option
@json_option
@stage_option("This stage; may be given more than once.")
@click.option("-v", "--verbose", is_flag=True, help="Show Ansible's output afterwards.")
def verify(name: str, as_json: bool, chosen: tuple[str, ...], verbose: bool) -> None:
    """Judge a lab that is up once more, without changing anything in it."""
    known = content.stages_for(())
    content.stages_for(chosen)  # raises when one is unknown
    lab = _existing(name)
    with lab.held():
        lab.ssh_command()  # raises when no guest is up
        usual = [spec.name for spec in content.stages() if spec.up]
        selected = [stage for stage in known if stage in (chosen or usual)]
        _run_stages(_order(name, Options(), as_json=as_json, verbose=verbose), selected, "stages", apply=False)


@dataclass(frozen=True)
class Order:
    """What is to be run, checked as far as it can be without touching anything."""

    lab: Lab
    options: Options
    settings: Settings
    as_json: bool
    verbose: bool


def _order(name: str, given: Options, *, as_json: bool, verbose: bool) -> Order:
    """Check what was asked for, and the machine; nothing is made or changed when something is wrong with them."""
    lab = labs.find(name)
    options = given.over(lab.remembered())
    settings = make(name, options)
    _require_host()
    return Order(lab, options, settings, as_json, verbose)


def _run_stages(order: Order, selected: list[str], playbook: str, *, apply: bool = True, **how: Any) -> Run:
    """Run stages and show their verdicts; raises StageFailed, which has the exit code, unless the run passed.

    `how`: whether everything is built anew, and what is done after a stage that went wrong (runs.Pass.execute).
    """
    lab, settings = order.lab, order.settings
    was_up = lab.is_up()
    runs.prepare(lab, settings)
    lab.remember(order.options.to_remember())
    _say_what(order)
    with Progress(stderr) as progress:
        course = runs.Pass(lab, settings, selected, progress)
        try:
            run = course.execute(playbook, apply=apply, **how)
        except VexlabError as problem:
            if isinstance(problem, Interrupted) and not was_up:
                progress.say("interrupted; ending what was started")
                _end_guest(lab, "stopped")
            _finish_early(course.directory, order.as_json)
            raise
        finally:
            if order.verbose:
                stderr.print((course.directory / "ansible.log").read_text(), markup=False)
    if order.as_json:
        click.echo(report.render_json(run), nl=False)
    _show(run, course, settings, lab, apply=apply)
    return run


def _finish_early(directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(report.render_json(results.read(directory / "results.json")), nl=False)


def _show(run: Run, course: runs.Pass, settings: Settings, lab: Lab, *, apply: bool) -> None:
    """The table of verdicts and what to do next; raises StageFailed unless the run passed."""
    stderr.print(verdict_table(run))
    for stage, check in results.known_failures(run):
        said = f"known failure {stage.name}/{check.name}: {check.message.partition(chr(10))[0]}"
        stderr.print(said, markup=False, soft_wrap=True)
    stderr.print(f"evidence: {course.directory}", soft_wrap=True)
    if run.verdict is not Verdict.PASSED:
        culprit = next(
            (stage for stage in run.stages if stage.name in run.selected and stage.verdict != "passed"), None
        )
        named = f"stage {culprit.name} {culprit.verdict}: {culprit.reason}" if culprit else f"the run is {run.verdict}"
        option = name_option(lab.name)
        raise StageFailed(named, f"vexlab report; vexlab logs{option} console|kernel|build|ansible; vexlab ssh{option}")
    changed = course.changed_stages()
    if apply:
        stderr.print(
            f"changed: {', '.join(changed)}" if changed else "nothing changed: everything was as wanted already"
        )
        point, mode = settings.contract["vexlab_mount_point"], settings.contract["vexlab_capabilities"]
        how = "read-write" if "read-write" in mode else "read-only"
        if lab.is_up():
            hint = f"vexlab ssh{name_option(lab.name)}"
            stderr.print(f"{settings.target_name} is mounted {how} at {point} in the guest: {hint}", style="bold")


def verdict_table(run: Run) -> Table:
    """The verdict of each stage."""
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "verdict", "checks", "time", ""):
        table.add_column(heading, overflow="fold")
    for stage in run.stages:
        sign, style = STYLES[stage.verdict]
        passed = sum(check.verdict is Verdict.PASSED for check in stage.checks)
        checks = f"{passed} of {len(stage.checks)}" if stage.checks else ""
        seconds = clock(stage.seconds) if stage.verdict is not Verdict.NOT_RUN else ""
        table.add_row(stage.name, f"[{style}]{sign} {stage.verdict}[/]", checks, seconds, _plain(stage.reason))
    return table


def _plain(text: str) -> str:
    return next(iter(text.splitlines()), "").replace("[", r"\[")


def _require_host() -> None:
    """Raise HostProblem with the one thing to do when this machine lacks something."""
    findings = [finding for finding in doctor.examine() if finding.ok is False]
    if findings:
        packages = doctor.missing_packages(findings)
        others = [f"{finding.what}: {finding.detail} → {finding.remedy}" for finding in findings if not finding.package]
        what = [f"missing: {', '.join(finding.what for finding in findings if finding.package)}"] if packages else []
        hint = f"vexlab doctor --install, or: sudo apt-get install {' '.join(packages)}" if packages else ""
        raise HostProblem("; ".join(what + others), hint)


def _end_guest(lab: Lab, how: str) -> list[str]:
    """End the guest; returns the tasks that changed something."""
    with tempfile.NamedTemporaryFile(prefix="vexlab-", suffix=".log") as log:
        return runs.end_guest(lab, how, Path(log.name))


def _existing(name: str) -> Lab:
    """The lab of that name; raises UsageProblem when there is none."""
    lab = labs.find(name)
    if not lab.exists():
        known = ", ".join(found.name for found in labs.all_labs()) or "none"
        raise UsageProblem(
            f"unknown lab {name!r}", f"known labs: {known}; `vexlab up{name_option(name)}` makes this one"
        )
    return lab


# --- Looking


@cli.command()
@click.option("--install", is_flag=True, help="Install what is missing; needs root or sudo without a password.")
@json_option
def doctor_command(install: bool, as_json: bool) -> None:
    """Tell whether this machine can run the lab, and what is missing."""
    findings = doctor.examine()
    if install and doctor.missing_packages(findings):
        _install()
        findings = doctor.examine()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    for finding in findings:
        sign, style = {True: ("✔", "green"), False: ("✘", "red"), None: ("!", "yellow")}[finding.ok]
        stderr.print(f"[{style}]{sign}[/] {finding.what:<20} {_plain(finding.detail)}", soft_wrap=True)
        if finding.ok is False:
            stderr.print(f"  → {finding.remedy}", markup=False, soft_wrap=True)
    wrong = [finding for finding in findings if finding.ok is False]
    if wrong:
        packages = doctor.missing_packages(wrong)
        hint = f"sudo apt-get install {' '.join(packages)}" if packages else "do what the lines with an arrow say"
        raise HostProblem("this machine can't run the lab as it is", hint)


doctor_command.name = "doctor"
cli.add_command(doctor_command, "doctor")
cli.add_command(cli_gate.gate_group, "gate")


def _install() -> None:
    """Install packages through role vexlab_host; raises HostProblem with its words when that can't be done."""
    with tempfile.TemporaryDirectory(prefix="vexlab-") as scratch:
        stand_in = Lab("doctor", Path(scratch))
        runs.prepare(stand_in, Settings("doctor", Path(scratch), content.contract_defaults()))
        log = Path(scratch) / "ansible.log"
        outcome = runs.run_plain("host", stand_in, {}, log)
        if not outcome.ok:
            raise HostProblem(outcome.failure.message if outcome.failure else log.read_text()[-600:])


@cli.command()
@click.option("--name", metavar="LAB", help="Only this lab.")
@json_option
def status(name: str | None, as_json: bool) -> None:
    """Tell of each lab: its guest, and the verdict of each stage of its last run."""
    chosen = [_existing(name)] if name else labs.all_labs()
    documents = [_status(lab) for lab in chosen]
    if as_json:
        click.echo(json.dumps(documents, indent=2))
        return
    if not documents:
        stderr.print("there is no lab; `vexlab up` makes one")
    for lab, document in zip(chosen, documents, strict=True):
        _show_status(lab, document)


def _status(lab: Lab) -> dict[str, Any]:
    record = lab.record()
    pid = labs.guest_pid(record)
    document: dict[str, Any] = {"lab": lab.name, "up": pid is not None, "guest": None, "run": None}
    if pid is not None:
        document["guest"] = {
            "pid": pid, "state": labs.guest_status(record) or "silent", "accelerator": record["accelerator"],
            "accelerator_reason": record["accelerator_reason"], "qemu": record["qemu"],
            "memory_mb": record["parameters"]["memory_mb"], "cpus": record["parameters"]["cpus"],
            "ssh_port": record.get("port"), "share": record["source"], **labs.process_facts(pid),
        }  # fmt: skip
    found = runs.directories(lab.name)
    if found:
        document["run"] = results.to_document(results.read(found[-1] / "results.json"))
    return document


def _show_status(lab: Lab, document: dict[str, Any]) -> None:
    guest = document["guest"]
    stderr.print(f"lab {lab.name}", style="bold")
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    if guest is None:
        facts.add_row("guest", f"not up; vexlab up{name_option(lab.name)}")
    else:
        facts.add_row(
            "QEMU", f"process {guest['pid']}, {guest['state']}, up {clock(guest['uptime_seconds'])}, {guest['qemu']}"
        )
        facts.add_row("memory", f"{guest['memory_mb']} MiB; the process holds {guest['memory_mib']:.0f} MiB")
        facts.add_row("CPUs", str(guest["cpus"]))
        facts.add_row("accelerator", _plain(f"{guest['accelerator']} ({guest['accelerator_reason']})"))
        facts.add_row("ssh", f"127.0.0.1:{guest['ssh_port']} → 22; vexlab ssh{name_option(lab.name)}")
        facts.add_row("share", _plain(f"{guest['share']} (read-only)" if guest["share"] else "none"))
    stderr.print(facts)
    if document["run"]:
        run = results.from_document(document["run"])
        stderr.print(f"last run {run.run}: {run.verdict}")
        stderr.print(verdict_table(run))


@cli.command(context_settings={"ignore_unknown_options": True})
@lab_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, command: tuple[str, ...]) -> None:
    """Log in to the guest, or run COMMAND there."""
    arguments = _existing(name).ssh_command(command)
    os.execvp(arguments[0], arguments)  # noqa: S606  it becomes the command


@cli.command()
@lab_option
@click.option("-f", "--follow", is_flag=True, help="Go on as the console does, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=40, show_default=True, help="Lines to begin with.")
def console(name: str, follow: bool, lines: int) -> None:
    """Show the guest's serial console."""
    path = _existing(name).directory / "console.log"
    if not path.is_file():
        raise UsageProblem(f"lab {name} has no console log yet", f"vexlab up{name_option(name)}")
    with path.open(errors="replace") as log:
        for line in log.readlines()[-lines or sys.maxsize :] if lines else []:
            click.echo(line, nl=False)
        while follow:
            line = log.readline()
            if line:
                click.echo(line, nl=False)
            else:
                time.sleep(0.2)


LOGS = ("console", "kernel", "build", "ansible", "qemu")


@cli.command()
@lab_option
@click.argument("which", type=click.Choice(LOGS), default="kernel")
def logs(name: str, which: str) -> None:
    """Print a log of the lab's last run: the kernel's messages stage by stage, or another one."""
    lab = _existing(name)
    if which == "qemu":
        paths = [lab.directory / "qemu.log"]
    else:
        directory = runs.find(None, name)
        within = "stages/*/kernel.log" if which == "kernel" else f"{which}.log"
        paths = [*sorted(directory.glob(within)), *sorted(directory.glob(f"*-[0-9]*/{within}"))]
    present = [path for path in paths if path.is_file()]
    if not present:
        raise UsageProblem(
            f"the last run of lab {name} left no {which} log", "vexlab logs console shows what the guest said"
        )
    for path in present:
        if len(present) > 1 or which == "kernel":
            where = [part for part in path.relative_to(directory).parts[:-1] if part != "stages"]
            stderr.print(f"--- {' '.join(where) or 'part-1'}", style="dim")
        click.echo(path.read_text(errors="replace"), nl=False)


@cli.command("report")
@click.argument("run", required=False)
@click.option("--name", metavar="LAB", help="The last run of this lab, instead of the last of all.")
@click.option(
    "--format", "kind", type=click.Choice(["markdown", "json", "junit"]), default="markdown", show_default=True
)
def report_command(run: str | None, name: str | None, kind: str) -> None:
    """Print the report of RUN, or of the last run."""
    directory = runs.find(run, name)
    document = results.read(directory / "results.json")
    if kind == "junit":
        with tempfile.TemporaryDirectory(prefix="vexlab-") as scratch:  # the one in the run's directory is sealed
            report.write_junit(document, Path(scratch) / "junit.xml")
            click.echo((Path(scratch) / "junit.xml").read_text(encoding="utf-8"), nl=False)
    elif kind == "json":
        click.echo(report.render_json(document), nl=False)
    else:
        click.echo(report.render_markdown(document, decision=gate.about(document)), nl=False)


@cli.command("runs")
@click.option("--name", metavar="LAB", help="Only runs of this lab.")
@json_option
def runs_command(name: str | None, as_json: bool) -> None:
    """List the runs, the oldest first."""
    found = [results.read(path / "results.json") for path in runs.directories(name)]
    if as_json:
        click.echo(json.dumps([results.to_document(run) for run in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "target", "verdict", "stages"):
        table.add_column(heading, overflow="fold")
    for run in found:
        sign, style = STYLES[run.verdict]
        culprit = next((f"{s.name}: {summary(s)}" for s in run.stages if s.verdict not in ("passed", "not_run")), "")
        table.add_row(run.run, run.target, f"[{style}]{sign} {run.verdict}[/]", _plain(culprit))
    Console(highlight=False).print(table)


# --- Ending


@cli.command()
@lab_option
def down(name: str) -> None:
    """Unmount, unload and stop the guest. Logs and runs stay."""
    lab = labs.find(name)
    if not lab.exists():
        stderr.print(f"there is no lab {name}; nothing to take down")
        return
    with lab.held():
        runs_on = lab.is_up()
        if runs_on and lab.guest_entry.is_file() and labs.guest_status(lab.record()) == "running":
            with tempfile.NamedTemporaryFile(prefix="vexlab-", suffix=".log") as log:
                outcome = runs.run_plain("teardown", lab, {}, Path(log.name))
            if not outcome.ok:
                words = outcome.failure.message if outcome.failure else "Ansible failed"
                stderr.print(f"the filesystem could not be taken down cleanly: {words}", markup=False, style="yellow")
        _end_guest(lab, "stopped")
        stderr.print(f"the guest of lab {name} is stopped" if runs_on else f"lab {name} was not up")


@cli.command()
@lab_option
def destroy(name: str) -> None:
    """Stop the guest and remove the lab's directory. Runs and images stay."""
    lab = labs.find(name)
    if not lab.exists():
        stderr.print(f"there is no lab {name}; nothing to destroy")
        return
    with lab.held():
        runs_inventory = lab.inventory / "hypervisor.yml"
        if not runs_inventory.is_file():  # a run that was killed before it wrote one
            runs.prepare(lab, Settings(name, lab.directory, {**content.contract_defaults(), **_identity(lab)}))
        _end_guest(lab, "absent")
    shutil.rmtree(lab.directory, ignore_errors=True)
    stderr.print(f"lab {name} is gone")


def _identity(lab: Lab) -> dict[str, str]:
    return {"vexlab_lab": lab.name, "vexlab_lab_directory": str(lab.directory)}


@cli.group()
def image() -> None:
    """Disk images of guests."""


@image.command("build")
@target_options
@lab_option
def image_build(name: str, verbose: bool, **given: Any) -> None:
    """Build the image that a lab would use, unless it is there."""
    order = _order(name, Options(**given).absolute(), as_json=False, verbose=verbose)
    lab = order.lab
    with lab.held():
        runs.prepare(lab, order.settings)
        log = lab.directory / "image.log"
        log.unlink(missing_ok=True)
        try:
            with Progress(stderr) as progress:
                runs.build_image(lab, progress, log)
        finally:
            if verbose:
                stderr.print(log.read_text(), markup=False)


@image.command("list")
@json_option
def image_list(as_json: bool) -> None:
    """List the images in the cache and the states of booted guests beside them, with their sizes."""
    entries: list[dict[str, Any]] = []
    for manifest in sorted(content.cache_directory().glob("*/manifest.json")):
        try:
            known = json.loads(manifest.read_text())
        except ValueError:
            known = {}
        states = [path.parent for path in manifest.parent.glob("warm/*/manifest.json")]
        entries.append(
            {
                "key": manifest.parent.name, "kernel": known.get("kernel_release", "(damaged)"),
                "packages": known.get("packages", []), "mib": _mib(manifest.parent), "states": len(states),
                "states_mib": sum(_mib(state) for state in states),
                "labs": [lab.name for lab in labs.all_labs() if lab.image() == manifest.parent.name],
            }
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "kernel", "MiB", "of it saved guests", "labs"):
        table.add_column(heading)
    for entry in entries:
        saved = f"{entry['states']}, {entry['states_mib']} MiB" if entry["states"] else "none"
        table.add_row(entry["key"], entry["kernel"], str(entry["mib"]), saved, " ".join(entry["labs"]))
    Console(highlight=False).print(table)


def _mib(directory: Path) -> int:
    """MiB that a directory takes on the disk."""
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) >> 11


@image.command("prune")
@click.option("--all", "everything", is_flag=True, help="Also images that a lab used last, if no guest is up on them.")
@json_option
def image_prune(everything: bool, as_json: bool) -> None:
    """Remove the images that no lab used last, that no guest runs on and that nobody builds."""
    keep = [] if everything else sorted({lab.image() for lab in labs.all_labs()} - {""})
    with tempfile.TemporaryDirectory(prefix="vexlab-") as scratch:
        stand_in = Lab("prune", Path(scratch))
        contract = content.contract_defaults() | {"vexlab_cache_directory": str(content.cache_directory())}
        runs.prepare(stand_in, Settings("prune", Path(scratch), contract))
        answer = runs.prune_images(stand_in, keep, Path(scratch) / "ansible.log")
    if as_json:
        click.echo(json.dumps({name: answer[name] for name in ("removed", "kept")}, indent=2))
        return
    for key, mib in answer["removed"].items():
        stderr.print(f"removed {key}, {mib} MiB")
    for key, reason in answer["kept"].items():
        stderr.print(f"kept {key}: {reason}")
    if not answer["removed"]:
        stderr.print("there was nothing to remove")


# --- Test hardware: cli_device.py
cli.add_command(cli_device.device_group)
cli.add_command(cli_device.recover)
