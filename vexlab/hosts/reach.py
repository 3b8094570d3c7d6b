"""A hypervisor reached by ssh itself, where a person looks at something: by what its inventory says."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vexlab.config import literals
from vexlab.errors import HostProblem, UsageProblem
from vexlab.guest import hypervisors, inventories
from vexlab.guest.hypervisors import Hypervisor
from vexlab.run import events

OF_SSH = 255  # exit code with which ssh tells of itself, and not of the command
SECONDS = 60.0  # that an answer may take
ALONE = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")  # nobody is there to be asked
# What ssh takes, and the variables that say it: the first that is there counts.
WHERE = ("ansible_host", "ansible_ssh_host")
PORT, USER = ("ansible_port", "ansible_ssh_port"), ("ansible_user", "ansible_ssh_user")
KEY = ("ansible_private_key_file", "ansible_ssh_private_key_file")
PROGRAM = ("ansible_ssh_executable",)
ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
KINDS = ("ssh", "smart", "ansible.builtin.ssh")  # of connections


def ssh(hypervisor: Hypervisor, *options: str) -> list[str]:
    """The command that logs in to a host, and runs what is added to it; raises UsageProblem for what ssh can't do."""
    known = inventories.read(hypervisor.inventory, hypervisors.EXAMPLE).variables(hypervisor.name)
    return command(hypervisor.name, known, *options)


def command(host: str, known: Mapping[str, Any], *options: str) -> list[str]:
    """The same by the variables of the host."""
    kind = known.get("ansible_connection", KINDS[0])
    if kind not in KINDS:
        raise UsageProblem(f"{host} is reached by {kind}", "take a host that is reached by ssh")

    def said(names: Sequence[str], otherwise: str = "") -> str:
        name = next((name for name in names if name in known), "")
        return str(literals.from_inventory(f"{name} of {host}", known[name])) if name else otherwise

    words = [said(PROGRAM, "ssh")]
    for name in ARGUMENTS:
        words += shlex.split(said([name]))
    words += options
    words += ["-p", port] if (port := said(PORT)) else []
    words += ["-l", user] if (user := said(USER)) else []
    words += ["-i", str(Path(key).expanduser())] if (key := said(KEY)) else []
    return [*words, said(WHERE, host)]


def ask(hypervisor: Hypervisor, words: Sequence[str]) -> str:
    """What a command there writes on stdout; raises HostProblem when it fails, or the host can't be reached."""
    host = hypervisor.name
    try:
        done = subprocess.run(
            [*ssh(hypervisor, *ALONE), shlex.join(words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HostProblem(f"{host} did not answer within {SECONDS:.0f} s") from None
    if done.returncode == OF_SSH:
        raise HostProblem(events.unreachable(host, done.stderr))
    if done.returncode:
        raise HostProblem(f"{host}: {done.stderr.strip()[-600:] or f'{words[0]} ended with {done.returncode}'}")
    return done.stdout
