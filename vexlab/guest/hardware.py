"""Test hardware: which host of an inventory is meant, and what is kept of it on this machine.

A host of the group `hardware` gets a directory as a lab has one, with an inventory of its own in it: how the host is
reached, and the contract, as literals. So the same playbooks and checks run there as in a guest. Whatever else the
person's inventory says of the host stays there, passwords above all: a playbook runs with both.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab.config import installation, literals, settings, user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Options, Settings
from vexlab.errors import UsageProblem
from vexlab.guest.lab import Lab

GROUP = "hardware"
HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # what is no pattern to Ansible, and a path of one part
CONNECTION = (
    "ansible_connection", "ansible_host", "ansible_port", "ansible_user", "ansible_private_key_file",
    "ansible_ssh_private_key_file", "ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_python_interpreter",
)  # fmt: skip
"""What the checks must know to reach a host; none of it is a secret."""
EXAMPLE = "inventory/hardware.example.yml is an example; docs/hardware.md explains it"


@dataclass(frozen=True)
class Host:
    """A machine for tests, as the inventory has it."""

    name: str
    variables: dict[str, Any]
    inventory: Path

    @property
    def lab(self) -> Lab:
        """What is kept of it here; no guest belongs to it."""
        return Lab(self.name, user_directories.state_directory() / GROUP / self.name, self.inventory)


def find(inventory: Path, name: str | None) -> Host:
    """The one host that is meant; raises UsageProblem when there is none, or more than one."""
    if not inventory.exists():
        raise UsageProblem(f"there is no inventory {inventory}", EXAMPLE)
    program = Path(sys.executable).with_name("ansible-inventory")  # vexlab's own, whether or not that is in PATH
    environment = os.environ | {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "true", "ANSIBLE_VERBOSITY": "0"}
    done = subprocess.run(
        [program, "--list", "--inventory", inventory.absolute()], env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        listed = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        listed = {}
    if not isinstance(listed, dict) or "_meta" not in listed:
        said = complaint(done.stderr or done.stdout, inventory)
        raise UsageProblem(f"the inventory {inventory} can't be read: {said}", EXAMPLE)
    try:
        return choose(listed, name, inventory.absolute())
    except UsageProblem as problem:
        if warnings := re.findall(r"^\[WARNING\]: (.*)", done.stderr, re.MULTILINE):
            raise UsageProblem("\n".join([problem.message, *warnings]), problem.hint) from None
        raise


def complaint(said: str, inventory: Path) -> str:
    """What ansible-inventory says is wrong with a file: where it tells the place, else as the file's reader says it.

    It tries one reader after the other, and each of them complains.
    """
    reader = "yaml" if inventory.suffix in (".yml", ".yaml", ".json") else "ini"
    complaints = re.split(r"^\[(?:WARNING|ERROR)\]: ", said, flags=re.MULTILINE)
    placed = [each for each in complaints if re.search(r"^Origin: \S+:\d+:\d+$", each, re.MULTILINE)]
    of_reader = [each for each in complaints if each.startswith(f"Failed to parse inventory with '{reader}' plugin: ")]
    for chosen in [*placed, *of_reader]:
        short, _, rest = chosen.partition("\n")
        cause = rest.partition("<<< caused by >>>")[2] or short.partition(" plugin: ")[2]
        lines = [line.rstrip() for line in cause.splitlines()]
        return "\n".join(line for line in lines if line and not line.startswith("Origin: <"))
    return said.strip()[:600]


def choose(listed: dict[str, Any], name: str | None, where: Path) -> Host:
    """The host from what ansible-inventory lists."""
    if GROUP not in listed:
        raise UsageProblem(f"{where} has no hosts in a group {GROUP!r}", EXAMPLE)
    names = members(listed, GROUP)
    if name is None and len(names) > 1:
        raise UsageProblem(f"{where} has {len(names)} hosts in {GROUP!r}: {', '.join(names)}", "choose one with --host")
    chosen = name or names[0]
    if chosen not in names:
        raise UsageProblem(f"{where} has no host {chosen!r} in {GROUP!r}", f"there is: {', '.join(names)}")
    if not HOST_NAME.fullmatch(chosen):
        hint = "use letters, digits, dots, hyphens and underscores, and say in ansible_host where it is"
        raise UsageProblem(f"{chosen!r} in {where} can't be the name of a host here", hint)
    return Host(chosen, listed["_meta"]["hostvars"].get(chosen, {}), where)


def members(listed: dict[str, Any], group: str) -> list[str]:
    """The hosts of a group and of the groups in it, in order."""
    entry = listed.get(group, {})
    found = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        found += members(listed, child)
    return list(dict.fromkeys(found))


def prepare(host: Host, options: Options | None, of_device: dict[str, Any]) -> Settings:
    """Write the inventory with which playbooks and checks run on the host; `of_device` is a part of the contract.

    Without options it is for what has nothing to do with a target, and holds whether or not that is still there.
    """
    lab, defaults = host.lab, installation.contract_defaults()
    contract = dict(defaults) if options is None else settings.make("hardware", options).contract
    theirs = {
        key: literals.from_inventory(f"{key} of {host.name}", value)
        for key, value in host.variables.items() if key in (*contract, *CONNECTION)
    }  # fmt: skip
    # What the inventory merely repeats of the defaults must not stand against the target.
    own = {
        key: value for key, value in theirs.items()
        if key in contract and (key not in defaults or defaults[key] != value)
    }  # fmt: skip
    contract |= {"vexlab_lab": host.name, "vexlab_lab_directory": str(lab.directory), "vexlab_hardware": True}
    made = Settings(host.name, lab.directory, contract | own | of_device)
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab.write_inventory(made, sys.executable)
    # The whole contract stands with the host, where nothing that the person's inventory says of a group overrides it.
    entry = {key: value for key, value in theirs.items() if key in CONNECTION} | made.contract
    hosts = {"vexlab": {"children": {GROUP: {"hosts": {host.name: entry}}}}}
    replace_file(lab.inventory / "hardware.yml", literals.to_yaml(hosts))
    return made
