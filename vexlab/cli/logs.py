"""`vexlab logs` and `vexlab console`: what a run, and a guest that is up, have said."""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

import click

from vexlab.cli import completion, hosted
from vexlab.cli.common import existing_anywhere, json_option, stderr, stdout
from vexlab.cli.options import lab_option, last_of_lab_option
from vexlab.errors import UsageProblem
from vexlab.guest import console_log
from vexlab.guest import lab as labs
from vexlab.guest.lab import name_option
from vexlab.results import archive, logs, results_file
from vexlab.results.logs import Log

QEMU = "qemu"


@click.command("logs")
@click.argument("which", type=click.Choice([*logs.KINDS, QEMU]), required=False)
@click.option(
    "--run", metavar="RUN", help="Name of the run, instead of the last one.", shell_complete=completion.run_names
)
@last_of_lab_option
@json_option
def logs_command(which: str | None, run: str | None, name: str | None, as_json: bool) -> None:
    """Print a log of a run.

    By default it is the one that tells what went wrong first.

    The kernel's messages and traces come stage by stage. The logs of a run stay when its lab is destroyed.
    """
    if run is not None and name is not None:
        raise UsageProblem("--run and --name both say which run", "give one of them")
    if name is not None and not archive.directories(name):
        existing_anywhere(name)  # raises when there is no such lab either
    directory = archive.find(run, name)
    if which == QEMU and (lab := archive.lab_of(directory)):
        hosted.look(lab, "logs", QEMU, "--run", directory.name, *(["--json"] if as_json else []))
    kind, found = (which, _named(directory, which)) if which else _of_what_went_wrong(directory)
    if not found:
        raise _none(directory, kind)
    if as_json:
        documents = [{"log": kind, "of": log.title, "path": str(log.path), "text": _text(log)} for log in found]
        click.echo(json.dumps({"run": directory.name, "logs": documents}, indent=2, ensure_ascii=False))
        return
    of = f" of {found[0].title}" if len(found) == 1 and found[0].title else ""
    stderr.say(f"run {directory.name}: {kind} log{of}", style="dim")
    for log in found:
        if len(found) > 1:
            stdout.say(f"--- {log.title or 'part 1'}", style="dim")
        click.echo(_text(log), nl=False)


def _named(directory: Path, which: str) -> list[Log]:
    """The logs of a run of one kind; that of QEMU is the lab's, as long as there is one."""
    if which != QEMU:
        return logs.find(directory, which)
    lab = archive.lab_of(directory)
    path = labs.find(lab).directory / "qemu.log" if lab else Path()
    return [Log(f"lab {lab}", path)] if path.is_file() else []


def _of_what_went_wrong(directory: Path) -> tuple[str, list[Log]]:
    """The logs that tell of what went wrong in a run, with their kind; the kernel's when nothing did."""
    run = results_file.read(directory / archive.RESULTS)
    wrong = logs.first_wrong(run)
    kind = logs.of_stage(run, wrong) if wrong else "kernel"
    found = logs.find(directory, kind, wrong.name if wrong else "")
    # a check that failed before anything was kept of the kernel leaves what Ansible said
    return (kind, found) if found or not wrong else ("ansible", logs.find(directory, "ansible"))


def _none(directory: Path, kind: str) -> UsageProblem:
    """What to say when a run has no such log: which it has."""
    if kind == QEMU:
        said = f"there is no log of QEMU of the lab of run {directory.name}: it is kept as long as the lab"
        return UsageProblem(said, f"vexlab logs console --run {directory.name}")
    there = [each for each in logs.KINDS if logs.find(directory, each)]
    why = ": no kernel died in it" if kind == "trace" else ""
    hint = f"it has: {', '.join(there)}; vexlab logs {there[0]} --run {directory.name}" if there else "vexlab runs"
    return UsageProblem(f"run {directory.name} left no {kind} log{why}", hint)


def _text(log: Log) -> str:
    """What a log holds, whole lines of it."""
    text = console_log.read(log.path)
    return text if text.endswith("\n") or not text else f"{text}\n"


@click.command()
@lab_option
@click.option("-f", "--follow", is_flag=True, help="Follow the console until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    default=40,
    show_default=True,
    help="Number of lines to begin with.",
)
def console(name: str, follow: bool, lines: int) -> None:
    """Show the guest's serial console."""
    hosted.look(name, "console", "--name", name, "--lines", str(lines), *(["--follow"] if follow else []))
    path = labs.find(name).directory / "console.log"
    if not path.is_file():
        raise _no_console(name)
    size = path.stat().st_size
    for line in console_log.read(path, 0, size).splitlines(keepends=True)[-lines:] if lines else []:
        click.echo(line, nl=False)
    with path.open(errors="replace") as log:
        log.seek(size)
        while follow:
            line = log.readline()
            if line:
                click.echo(line, nl=False)
            elif _is_alone(0.2):
                return


def _is_alone(seconds: float) -> bool:
    """Whether nobody reads what is shown any more; waits so long for that."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # of an end it tells without being asked
    return bool(poll.poll(1000 * seconds))


def _no_console(name: str) -> UsageProblem:
    """What to say of a lab that has no console: that of its last run is kept, if there was one."""
    past = archive.directories(name)
    if past and logs.find(past[-1], "console"):
        return UsageProblem(
            f"lab {name} has no console any more", f"that of its last run: vexlab logs console --run {past[-1].name}"
        )
    existing_anywhere(name)  # raises when there is no such lab
    return UsageProblem(f"lab {name} has no console log yet", f"vexlab up{name_option(name)}")
