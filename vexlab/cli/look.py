"""The commands that look: at the machine, at labs, at what runs left."""

from __future__ import annotations

import dataclasses
import json
import os

import click

from vexlab.cli import hosted
from vexlab.cli.common import existing, json_option, stderr, stdout
from vexlab.cli.options import lab_option
from vexlab.config import installation
from vexlab.config.settings import Settings
from vexlab.errors import HostProblem, UsageProblem
from vexlab.guest import doctor
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
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
        stdout.say(f"{sign} {finding.what:<20} {finding.detail}", style, hang=23)
        if not finding.ok and finding.remedy:
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


@click.command(context_settings={"ignore_unknown_options": True})
@lab_option
@click.option(
    "--forward", "forwards", is_flag=True,
    help="Of a lab on a hypervisor: have the guest's port for ssh on 127.0.0.1 here until Ctrl-C, and say how to use "
    "it.",
)  # fmt: skip
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, forwards: bool, command: tuple[str, ...]) -> None:
    """Log in to the guest, or run COMMAND there.

    The exit code is that of the command, or of the shell that was left; 255 is ssh's own, when it could not connect.
    """
    if forwards and command:
        raise UsageProblem("--forward runs no command", "give one of them")
    if forwards:
        hosted.forward(name)
    hosted.log_in(name, command)
    arguments = existing(name).ssh_command(command)
    os.execvp(arguments[0], arguments)  # noqa: S606  it becomes the command
