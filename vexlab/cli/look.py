"""The commands that look: at the machine, at labs, at what runs left."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vexlab.cli import completion
from vexlab.cli.common import chosen_run, existing, json_option, name_unreadable, plain, stderr, stdout, verdict_table
from vexlab.cli.options import lab_option
from vexlab.config import installation
from vexlab.config.settings import Settings
from vexlab.errors import HostProblem
from vexlab.gate import promotion
from vexlab.guest import doctor
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab, name_option
from vexlab.report import junit_file, markdown
from vexlab.report.terminal import STYLES, Progress, clock, summary
from vexlab.results import archive, logs, results_file
from vexlab.run import plain_playbooks, scratch


@click.command("doctor")
@click.option("--install", is_flag=True, help="Install what is missing; needs root or sudo without a password.")
@json_option
def doctor_command(install: bool, as_json: bool) -> None:
    """Tell whether this machine can run the lab, and what it lacks."""
    findings = doctor.examine()
    if install and doctor.missing_packages(findings):
        _install()
        findings = doctor.examine()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    for finding in [] if as_json else findings:
        sign, style = {True: ("✔", ""), False: ("✘", "red"), None: ("!", "yellow")}[finding.ok]
        stdout.say(f"{sign} {finding.what:<20} {finding.detail}", style)
        if finding.ok is False:
            stdout.say(f"→ {finding.remedy}", indent=2)
    wrong = [finding for finding in findings if finding.ok is False]
    if wrong:
        packages = doctor.missing_packages(wrong)
        hint = f"sudo apt-get install {' '.join(packages)}" if packages else "do what the lines with an arrow say"
        raise HostProblem("this machine can't run the lab as it is", hint)


def _install() -> None:
    """Install packages through role vexlab_host; raises HostProblem with its words when that can't be done."""
    with scratch.directory() as directory:
        stand_in = Lab("doctor", directory)
        plain_playbooks.prepare(stand_in, Settings("doctor", directory, installation.contract_defaults()))
        log = directory / "ansible.log"
        with Progress(stderr) as progress:
            progress.wait_for("installing packages")
            outcome = plain_playbooks.run_plain("host", stand_in, {}, log, plain_playbooks.shown_by(progress))
        if not outcome.ok:
            raise HostProblem(outcome.failure.message if outcome.failure else log.read_text()[-600:])


@click.command()
@click.option("--name", metavar="LAB", help="Tell of this lab only.", shell_complete=completion.lab_names)
@json_option
def status(name: str | None, as_json: bool) -> None:
    """Tell of each lab: its guest, and the verdicts of its last run."""
    chosen = [existing(name)] if name else labs.all_labs()
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
            "sandbox": record.get("sandbox", False), "sandbox_reason": record.get("sandbox_reason", ""),
            "memory_mb": record["parameters"]["memory_mb"], "cpus": record["parameters"]["cpus"],
            "ssh_port": record.get("port"), "share": record["source"], **labs.process_facts(pid),
        }  # fmt: skip
    run, unreadable = archive.last(lab.name)
    name_unreadable(unreadable)
    if run is not None:
        document["run"] = results_file.to_document(run)
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
        facts.add_row("accelerator", plain(f"{guest['accelerator']} ({guest['accelerator_reason']})"))
        without = f"off ({guest['sandbox_reason']})" if guest["sandbox_reason"] else "off"
        facts.add_row("QEMU's sandbox", plain("on" if guest["sandbox"] else without))
        facts.add_row("ssh", f"127.0.0.1:{guest['ssh_port']} → 22; vexlab ssh{name_option(lab.name)}")
        facts.add_row("share", plain(f"{guest['share']} (read-only)" if guest["share"] else "none"))
    stderr.print(facts)
    if document["run"]:
        run = results_file.from_document(document["run"])
        stderr.print(f"last run {run.run}: {run.verdict}")
        stderr.print(verdict_table(run))


@click.command(context_settings={"ignore_unknown_options": True})
@lab_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, command: tuple[str, ...]) -> None:
    """Log in to the guest, or run COMMAND there."""
    arguments = existing(name).ssh_command(command)
    os.execvp(arguments[0], arguments)  # noqa: S606  it becomes the command


@click.command("report")
@click.argument("run", required=False, shell_complete=completion.run_names)
@click.option(
    "--name",
    metavar="LAB",
    help="Take the last run of this lab, instead of the last of all.",
    shell_complete=completion.lab_names,
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["markdown", "json", "junit"]),
    default="markdown",
    show_default=True,
    help="The form of the report.",
)
def report_command(run: str | None, name: str | None, kind: str) -> None:
    """Print the report of RUN, or of the last run."""
    document = chosen_run(run, name)
    if kind == "junit":
        with scratch.directory() as directory:  # the one in the run's directory is sealed
            junit_file.write_junit(document, directory / "junit.xml", archive.find(document.run))
            click.echo((directory / "junit.xml").read_text(encoding="utf-8"), nl=False)
    elif kind == "json":
        click.echo(markdown.render_json(document), nl=False)
    else:
        traces = logs.traces(archive.find(document.run))
        decision = promotion.about(document)
        click.echo(markdown.render_markdown(document, decision=decision, traces=traces), nl=False)


@click.command("runs")
@click.option("--name", metavar="LAB", help="List the runs of this lab only.", shell_complete=completion.lab_names)
@json_option
def runs_command(name: str | None, as_json: bool) -> None:
    """List the runs, the oldest first."""
    found, unreadable = archive.read_all(archive.directories(name))
    name_unreadable(unreadable)
    if as_json:
        click.echo(json.dumps([results_file.to_document(run) for run in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "target", "verdict", "stages"):
        table.add_column(heading, overflow="fold")
    for run in found:
        sign, style = STYLES[run.verdict]
        culprit = next((f"{s.name}: {summary(s)}" for s in run.stages if s.verdict not in ("passed", "not_run")), "")
        table.add_row(run.run, run.target, f"[{style}]{sign} {run.verdict}[/]", plain(culprit))
    Console(highlight=False).print(table)
