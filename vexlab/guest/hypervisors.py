"""The hosts of an inventory that take cells of a matrix, or one that has a lab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab.config import literals
from vexlab.config.atomic_file import replace_file
from vexlab.errors import UsageProblem
from vexlab.guest import inventories
from vexlab.guest.inventories import Listed

GROUP = "hypervisors"
PLACES = "vexlab_places"
EXAMPLE = "inventory/hypervisors.example.yml is an example; docs/many-machines.md explains it"


@dataclass(frozen=True)
class Hypervisor:
    """A host that takes cells, so many at once; 0 is one for each of its CPUs."""

    name: str
    inventory: Path
    places: int = 0


def find(inventory: Path) -> list[Hypervisor]:
    """The hosts of the group; raises UsageProblem when there is none, and for what can't be."""
    listed = inventories.read(inventory, EXAMPLE)
    try:
        return choose(listed, inventory.absolute())
    except UsageProblem as problem:
        raise UsageProblem("\n".join([problem.message, *listed.warnings]), problem.hint) from None


def one(inventory: Path, host: str | None) -> Hypervisor:
    """The host of that name in the group, or the only one there; raises UsageProblem."""
    found = find(inventory)
    if host is None and len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in found)
    if host is None:
        raise UsageProblem(f"{inventory} has several hypervisors: {names}", "name one with --hypervisor")
    chosen = next((each for each in found if each.name == host), None)
    if chosen is None:
        raise UsageProblem(f"{inventory} has no hypervisor {host!r}", f"it has {names}")
    return chosen


def known_to_ssh(words: str, inventory: Path) -> Hypervisor:
    """A host as ssh is told it, [USER@]HOST, for which an inventory is written; raises UsageProblem for what is none.

    Where it is, and what else ssh has to know, is in ~/.ssh/config, which Ansible goes by as well.
    """
    user, at, host = words.rpartition("@")
    if not all(inventories.HOST_NAME.fullmatch(part) for part in ([user, host] if at else [host])):
        hint = "name it as ssh takes it, [USER@]HOST; a port is said in ~/.ssh/config, or in an inventory"
        raise UsageProblem(f"{words!r} can't be a hypervisor", hint)
    variables = {"ansible_user": user} if user else {}
    replace_file(inventory, literals.to_yaml({GROUP: {"hosts": {host: variables}}}))
    return Hypervisor(host, inventory)


def choose(listed: Listed, where: Path) -> list[Hypervisor]:
    """The hosts from what ansible-inventory lists."""
    names = inventories.members(listed.document, GROUP)
    if not names:
        raise UsageProblem(f"{where} has no hosts in a group {GROUP!r}", EXAMPLE)
    for name in names:
        inventories.check_name(name, where)
    _refuse_one_machine_twice(names, listed, where)
    return [Hypervisor(name, where, _places(name, listed.variables(name))) for name in names]


def _refuse_one_machine_twice(names: Sequence[str], listed: Listed, where: Path) -> None:
    """Each would think that it has the machine, its memory and its disk alone."""
    seen: dict[tuple[str, str], str] = {}
    for name in names:
        known = listed.variables(name)
        address = (str(known.get("ansible_host", name)), str(known.get("ansible_port", 22)))
        if address in seen:
            said = f"{seen[address]} and {name} in {where} are one machine, {address[0]} port {address[1]}"
            raise UsageProblem(said, f"name it once, with {PLACES} for how many cells it takes at once")
        seen[address] = name


def _places(name: str, known: dict[str, Any]) -> int:
    given = known.get(PLACES)
    if given is None:
        return 0
    if type(given) is not int or given < 1:
        raise UsageProblem(f"{PLACES} of {name} is {given!r}", "it must be a whole number, 1 or more")
    return given
