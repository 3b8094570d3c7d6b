"""Inventories of people: which hosts are in a group, and what is said of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab.errors import UsageProblem

HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # what is no pattern to Ansible, and a path of one part
_HOST_HINT = "use letters, digits, dots, hyphens and underscores, and say in ansible_host where it is"


@dataclass(frozen=True)
class Listed:
    """What ansible-inventory makes of an inventory, and what it warns of."""

    document: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def variables(self, host: str) -> dict[str, Any]:
        """What the inventory says of a host."""
        found: dict[str, Any] = self.document["_meta"]["hostvars"].get(host, {})
        return found


def read(inventory: Path, hint: str) -> Listed:
    """Read an inventory; raises UsageProblem with this hint for what is none, or has a host twice."""
    if not inventory.exists():
        raise UsageProblem(f"there is no inventory {inventory}", hint)
    program = Path(sys.executable).with_name("ansible-inventory")  # vexlab's own, whether or not that is in PATH
    environment = os.environ | {
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true", "ANSIBLE_VERBOSITY": "0",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
    }  # fmt: skip
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
        raise UsageProblem(f"the inventory {inventory} can't be read: {said}", hint)
    return Listed(listed, tuple(re.findall(r"^\[WARNING\]: (.*)", done.stderr, re.MULTILINE)))


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


def members(listed: dict[str, Any], group: str) -> list[str]:
    """The hosts of a group and of the groups in it, in order."""
    entry = listed.get(group, {})
    found = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        found += members(listed, child)
    return list(dict.fromkeys(found))


def check_name(host: str, where: Path) -> None:
    """Raise UsageProblem for a name that a host can't have here."""
    if not HOST_NAME.fullmatch(host):
        raise UsageProblem(f"{host!r} in {where} can't be the name of a host here", _HOST_HINT)
