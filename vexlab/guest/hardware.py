"""Test hardware: which host of an inventory is meant, and what is kept of it on this machine.

A host of the group `hardware` gets a directory as a lab has one, with an inventory of its own in it: how the host is
reached, and the contract, as literals. So the same playbooks and checks run there as in a guest. Whatever else the
person's inventory says of the host stays there, passwords above all: a playbook runs with both.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab.config import installation, literals, settings, user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Options, Settings
from vexlab.errors import UsageProblem
from vexlab.guest import inventories
from vexlab.guest.lab import Lab

GROUP = "hardware"
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
    listed = inventories.read(inventory, EXAMPLE)
    try:
        return choose(listed.document, name, inventory.absolute())
    except UsageProblem as problem:
        if listed.warnings:
            raise UsageProblem("\n".join([problem.message, *listed.warnings]), problem.hint) from None
        raise


def choose(listed: dict[str, Any], name: str | None, where: Path) -> Host:
    """The host from what ansible-inventory lists."""
    if GROUP not in listed:
        raise UsageProblem(f"{where} has no hosts in a group {GROUP!r}", EXAMPLE)
    names = inventories.members(listed, GROUP)
    if name is None and len(names) > 1:
        raise UsageProblem(f"{where} has {len(names)} hosts in {GROUP!r}: {', '.join(names)}", "choose one with --host")
    chosen = name or names[0]
    if chosen not in names:
        raise UsageProblem(f"{where} has no host {chosen!r} in {GROUP!r}", f"there is: {', '.join(names)}")
    inventories.check_name(chosen, where)
    return Host(chosen, listed["_meta"]["hostvars"].get(chosen, {}), where)


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
