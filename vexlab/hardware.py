"""Test hardware: which host of an inventory is meant, and what is kept of it on this machine.

A host of the group `hardware` gets a directory as a lab has one, with an inventory of its own in it: what the person's
inventory says of the host, as literals, and the contract. So the same playbooks and checks run there as in a guest.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_runner.exceptions import AnsibleRunnerException
from ansible_runner.interface import run_command

from vexlab import content, settings
from vexlab.errors import UsageProblem
from vexlab.lab import Lab
from vexlab.results import replace_file
from vexlab.settings import Options, Settings

GROUP = "hardware"
EXAMPLE = "inventory/hardware.example.yml is an example; docs/hardware.md explains it"


@dataclass(frozen=True)
class Host:
    """A machine for tests, as the inventory has it."""

    name: str
    variables: dict[str, Any]

    @property
    def lab(self) -> Lab:
        """What is kept of it here; no guest belongs to it."""
        directory = re.sub(r"[^A-Za-z0-9._-]", "_", self.name)
        return Lab(self.name, content.state_directory() / GROUP / directory)


def find(inventory: Path, name: str | None) -> Host:
    """The one host that is meant; raises UsageProblem when there is none, or more than one."""
    if not inventory.exists():
        raise UsageProblem(f"there is no inventory {inventory}", EXAMPLE)
    program = Path(sys.executable).with_name("ansible-inventory")  # vexlab's own, whether or not that is in PATH
    words = ["--list", "--inventory", str(inventory.absolute())]
    try:
        told, said, code = run_command(  # type: ignore[no-untyped-call]
            str(program), words, quiet=True, runner_mode="subprocess",
            envvars={"ANSIBLE_INVENTORY_UNPARSED_FAILED": "true"},
        )  # fmt: skip
        listed = json.loads(told) if code == 0 else {}
    except (AnsibleRunnerException, OSError, ValueError) as problem:
        raise UsageProblem(f"the inventory {inventory} can't be read: {problem}", EXAMPLE) from problem
    if not isinstance(listed, dict) or "_meta" not in listed:
        raise UsageProblem(f"the inventory {inventory} can't be read: {str(said or listed).strip()[:600]}", EXAMPLE)
    return choose(listed, name, str(inventory))


def choose(listed: dict[str, Any], name: str | None, where: str) -> Host:
    """The host from what ansible-inventory lists."""
    if GROUP not in listed:
        raise UsageProblem(f"{where} has no hosts in a group {GROUP!r}", EXAMPLE)
    names = members(listed, GROUP)
    if name is None and len(names) > 1:
        raise UsageProblem(f"{where} has {len(names)} hosts in {GROUP!r}: {', '.join(names)}", "choose one with --host")
    chosen = name or names[0]
    if chosen not in names:
        raise UsageProblem(f"{where} has no host {chosen!r} in {GROUP!r}", f"there is: {', '.join(names)}")
    return Host(chosen, listed["_meta"]["hostvars"].get(chosen, {}))


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
    lab, defaults = host.lab, content.contract_defaults()
    contract = dict(defaults) if options is None else settings.make("hardware", options).contract
    # What the inventory merely repeats of the defaults must not stand against the target.
    own = {key: value for key, value in host.variables.items() if key not in defaults or defaults[key] != value}
    contract |= {"vexlab_lab": host.name, "vexlab_lab_directory": str(lab.directory), "vexlab_hardware": True}
    made = Settings(host.name, lab.directory, contract | {k: v for k, v in own.items() if k in contract} | of_device)
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab.write_inventory(made, sys.executable)
    entry = own | {key: made.contract[key] for key in own if key in made.contract}
    hosts = {"vexlab": {"children": {GROUP: {"hosts": {host.name: entry}}}}}
    replace_file(lab.inventory / "hardware.yml", "---\n" + yaml.safe_dump(hosts, allow_unicode=True))
    return made
