"""Labs that a hypervisor has: the commands that act on such a lab go to it, and those that can't say so."""

from __future__ import annotations

import functools
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_word
from click.core import ParameterSource

from vexlab.cli import options as the_options
from vexlab.cli.common import stderr
from vexlab.cli.options import HYPERVISOR, PATIENCE, Command, typed, with_all
from vexlab.cli.order import Order, take_order
from vexlab.config import images
from vexlab.config.settings import Options
from vexlab.errors import GuestProblem, HostProblem, UsageProblem, VexlabError
from vexlab.guest import hypervisors
from vexlab.guest import lab as labs
from vexlab.guest.hypervisors import Hypervisor
from vexlab.guest.lab import Lab, name_option
from vexlab.hosts import hosted_lab, reach
from vexlab.hosts.hosted_lab import Ended, Given, HostedLab, Tell
from vexlab.run import scratch

FILES = {"target": hosted_lab.TARGET_FILE, "known_failures": hosted_lab.KNOWN_FAILURES}
"""Options that name files of this machine, and what these are called there."""
NOT_PASSED_ON = ("name", "source", *FILES, "hypervisor", "inventory", "patience")
PORTS_TRIED = 100


@dataclass(frozen=True)
class Wanted:
    """The hypervisor that was asked for, if any was, and for how long it may be silent."""

    host: str | None = None
    inventory: Path | None = None
    patience: int | None = None

    @property
    def is_given(self) -> bool:
        """Whether a hypervisor was asked for."""
        return self.host is not None or self.inventory is not None

    def choose(self, lab: Lab) -> Hypervisor:
        """The hypervisor; raises UsageProblem when there is none such."""
        if self.inventory is not None:
            return hypervisors.one(self.inventory, self.host)
        return hypervisors.known_to_ssh(self.host or "", lab.directory / hosted_lab.INVENTORY)


def hypervisor_options(command: Command) -> Command:
    """Collect `--hypervisor`, `--hypervisors` and `--patience` into one `Wanted`."""

    @functools.wraps(command)
    def wrapper(*, hypervisor: str | None, inventory: Path | None, patience: int | None, **given: Any) -> None:
        command(wanted=Wanted(hypervisor, inventory, patience), **given)

    return with_all(HYPERVISOR, wrapper)


def bring_about(name: str, options: Options, wanted: Wanted) -> None:
    """Have the present command done by the hypervisor that has the lab, or is to have it, and exit as it did there.

    Returns when that is this machine.
    """
    lab = labs.find(name)
    hosted = hosted_lab.find(lab)
    if hosted is None and not wanted.is_given:
        return
    order = take_order(name, options, as_json=False, verbose=0, on_hypervisor=True)
    refuse_paths([order.settings.contract["vexlab_kernel"]])
    with lab.held():
        hypervisor = _chosen(lab, hosted, wanted)
        patience = wanted.patience or (hosted.record.patience if hosted else PATIENCE)
        given = _given(order)
        hosted = hosted_lab.prepare(lab, hypervisor, given, patience, stderr.say)
        lab.remember(order.options.to_remember(), order.of_file)
        lab.remember_image(images.wanted(order.settings.contract).key)  # which the host gets from here
        _do(hosted, _words_of_files(hosted, order), given)


def judge(name: str) -> None:
    """Have the present command, which brings nothing about, done by the hypervisor that has the lab, and exit.

    Returns when that is this machine. The checks are those of here.
    """
    if (hosted := hosted_lab.find(labs.find(name))) is not None:
        with hosted.lab.held():
            hosted = hosted_lab.prepare(hosted.lab, hosted.hypervisor, Given(), hosted.record.patience, stderr.say)
            _do(hosted, [], None)


def take_down(name: str) -> None:
    """Have the guest taken down by the hypervisor that has the lab, and exit; returns when that is this machine."""
    if (hosted := hosted_lab.find(labs.find(name))) is not None:
        with hosted.lab.held():
            _do(hosted, [], None)


def destroy(name: str) -> bool:
    """Have the lab destroyed by the hypervisor that has it; whether there is one. Raises HostProblem.

    Here it stays when that didn't work.
    """
    hosted = hosted_lab.find(labs.find(name))
    if hosted is None:
        return False
    with hosted.lab.held():
        try:
            _exit_as(hosted.run(["destroy", "--name", name], None, TELL, forgets=True))
        except HostProblem as problem:
            hint = f"the lab is kept here; to forget it all the same: rm -r {shlex.quote(str(hosted.lab.directory))}"
            raise HostProblem(problem.message, hint) from None
        hosted.forget()
    return True


def look(name: str, *words: str, terminal: bool = False) -> None:
    """Become the same command there, if a hypervisor has the lab; `terminal`: with one there. Else returns."""
    hosted = hosted_lab.find(labs.find(name))
    if hosted is not None:
        command = reach.ssh(hosted.hypervisor, *(["-t"] if terminal else []))
        os.execvp(command[0], [*command, shlex.join(hosted.in_shell(*words))])  # noqa: S606  it becomes the command


def log_in(name: str, command: Sequence[str]) -> None:
    """Become a login to the guest, or a command there, if a hypervisor has the lab; else returns."""
    look(name, "ssh", "--name", name, "--", *command, terminal=not command and sys.stdin.isatty())


def asked(hosted: HostedLab) -> dict[str, Any]:
    """What `vexlab status --json` there says of the lab, or in `problem` why it can't be asked."""
    name = hosted.lab.name
    try:
        [document] = json.loads(reach.ask(hosted.hypervisor, hosted.in_shell("status", "--name", name, "--json")))
    except (HostProblem, UsageProblem, ValueError) as problem:
        unread = f"what {hosted.record.host} answered is no status: {problem}"
        why = problem.message if isinstance(problem, VexlabError) else unread
        document = {"lab": name, "up": None, "tests": None, "guest": None, "run": None, "problem": why}
    return {**document, "hypervisor": hosted.record.host}


def forward(name: str) -> None:
    """Have the guest's port for ssh at this machine too, until Ctrl-C, and say how it is used.

    Key and host key are here for that time. Raises UsageProblem for a lab of this machine, GuestProblem where no guest
    is up.
    """
    hosted = hosted_lab.find(labs.find(name))
    if hosted is None:
        said = f"lab {name} is on this machine, where its port is already"
        raise UsageProblem(said, f"vexlab status{name_option(name)} tells which")
    document = asked(hosted)
    if "problem" in document:
        raise HostProblem(document["problem"])
    port = (document["guest"] or {}).get("ssh_port")
    if port is None:
        raise GuestProblem(f"no guest is up in lab {name}", f"vexlab up{name_option(name)}")
    with scratch.directory() as directory:
        login = _login(hosted, directory)
        here = _free_port(int(port))
        options = ["-N", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15", *reach.ALONE]
        command = reach.ssh(hosted.hypervisor, *options, "-L", f"127.0.0.1:{here}:127.0.0.1:{port}")
        stderr.say(f"127.0.0.1:{here} is port 22 of the guest of lab {name}, until Ctrl-C:")
        stderr.say(shlex.join(["ssh", "-p", str(here), *login, "root@127.0.0.1"]))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    raise HostProblem(f"the connection to {hosted.record.host} ended with {done.returncode}", "say it again")


def refuse_paths(words: Sequence[str]) -> None:
    """Raise UsageProblem for a kernel that is files of this machine."""
    if paths := [word for word in words if kernel_word.is_paths(word)]:
        raise UsageProblem(
            f"kernel {paths[0]} is files of this machine, and hypervisors have those of Debian only",
            "name a suite or a release, or have it done on this machine",
        )


def _chosen(lab: Lab, hosted: HostedLab | None, wanted: Wanted) -> Hypervisor:
    """The hypervisor of a lab; raises UsageProblem when another machine has it."""
    if hosted is None and lab.inventory.is_dir():
        hint = f"vexlab destroy{name_option(lab.name)} ends it here, or take another --name"
        raise UsageProblem(f"lab {lab.name} is on this machine", hint)
    if hosted is None:
        return wanted.choose(lab)
    if wanted.is_given and (other := _name(wanted, lab)) != hosted.record.host:
        hint = f"vexlab destroy{name_option(lab.name)} ends it there, or take another --name"
        raise UsageProblem(f"lab {lab.name} is on {hosted.record.host}, and not on {other}", hint)
    return wanted.choose(lab) if wanted.is_given else hosted.hypervisor


def _name(wanted: Wanted, lab: Lab) -> str:
    return wanted.choose(lab).name if wanted.inventory else str(wanted.host).rpartition("@")[2]


def _given(order: Order) -> Given:
    """What the lab there gets: source and files that hold now, and what a settings file says."""
    effective = order.options.over(order.of_file)
    settings = {
        name: getattr(order.of_file, option.name or "") for name, option in the_options.by_name().items()
        if option.name not in NOT_PASSED_ON
    }  # fmt: skip
    text = "".join(f"{name} = {_in_toml(value)}\n" for name, value in settings.items() if value is not None)
    return Given(
        order.settings.source, effective.target or "", effective.known_failures or "", text, order.settings.contract
    )


def _in_toml(value: Any) -> str:
    """A value of a settings file as TOML; what JSON makes of text, numbers and truth is TOML as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _words_of_files(hosted: HostedLab, order: Order) -> list[str]:
    """The options that name files, with their paths there."""
    effective = order.options.over(order.of_file)
    words = ["--source", f"{hosted.given}/{hosted_lab.SOURCE}"] if order.settings.source else []
    for name, place in FILES.items():
        if getattr(effective, name):
            words += [f"--{name.replace('_', '-')}", f"{hosted.given}/{place}"]
    return words


def _do(hosted: HostedLab, more: Sequence[str], given: Given | None) -> None:
    """Have the present command done there with the options that it was given, and exit as it did."""
    context = click.get_current_context()
    words = [str(context.info_name), "--name", hosted.lab.name, *typed(_passed_on(context)), *more]
    words += ["--quiet"] if stderr.quiet else []
    words += ["--progress", "json"] if stderr.for_programs else []
    ended = hosted.run(words, given, TELL)
    click.echo(ended.answer, nl=False)
    _exit_as(ended)
    context.exit()


def _exit_as(ended: Ended) -> None:
    """Exit as a command there that failed; raises HostProblem for one that passed, and whose evidence isn't here."""
    told = f"the evidence comes home with the next command on the lab: {ended.missing}"
    if ended.code:
        if ended.missing:
            stderr.say(told)
        click.get_current_context().exit(ended.code)
    if ended.missing:
        raise HostProblem(told)


def _passed_on(context: click.Context) -> Mapping[str, Any]:
    """The options that were given, by the command line or by variables, and mean the same there."""
    return {
        name: value for name, value in context.params.items()
        if name not in NOT_PASSED_ON and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }  # fmt: skip


def _show(line: str) -> None:
    """Show a line as it is; there it was made for people or for programs, as was asked for here."""
    click.echo(line, err=True)


TELL = Tell(_show, stderr.say)


def _login(hosted: HostedLab, directory: Path) -> list[str]:
    """The options by which ssh logs in to the guest over a port of this machine; key and host key go to a directory."""
    entry = yaml.safe_load(reach.ask(hosted.hypervisor, ["cat", f"{hosted.directory}/inventory/guest.yml"]))
    key = entry["vexlab"]["children"]["guests"]["hosts"][hosted.lab.name]["ansible_ssh_private_key_file"]
    known = reach.ask(hosted.hypervisor, ["cat", f"{hosted.directory}/known_hosts"])
    for name, text in (("ssh_key", reach.ask(hosted.hypervisor, ["cat", key])), ("known_hosts", known)):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text)
    options = [f"UserKnownHostsFile={directory}/known_hosts", f"HostKeyAlias={known.split()[0]}", "IdentitiesOnly=yes"]
    return ["-i", f"{directory}/ssh_key", *(word for option in options for word in ("-o", option))]


def _free_port(first: int) -> int:
    """A port of 127.0.0.1 that nobody has, the given one if it is free; raises HostProblem."""
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise HostProblem(f"no free port from {first} to {first + PORTS_TRIED - 1}")
