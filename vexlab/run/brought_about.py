"""What a lab's filesystem was brought about with, so that it can be taken down by the same words when these change.

The roles are told a mount point, a size, a module's parameters. Once they say something else, the roles find what is
up in the way of what is asked for. So the inventory that they went by is kept beside that of the next command.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vexlab.config import installation
from vexlab.guest.lab import Lab
from vexlab.run.playbook import Outcome, Playbook, Take, pass_by

ROLES = ("vexfs_load_", "vexfs_mkfs_", "vexfs_mount_")  # beginnings of the inputs of those that can be taken down


def remember(lab: Lab) -> None:
    """Keep the lab's inventory as it is: what comes next is brought about with it."""
    kept = _kept(lab)
    shutil.rmtree(kept.directory, ignore_errors=True)
    shutil.copytree(lab.inventory, kept.inventory)


def differing(lab: Lab, contract: Mapping[str, Any]) -> list[str]:
    """The variables that the roles went by and that are others now; none when it isn't known what they went by."""
    known = _kept(lab).contract()
    return [name for name in _variables() if known and known.get(name) != contract.get(name)]


def take_down(lab: Lab, log: Path, take: Take = pass_by) -> Outcome:
    """Unmount and unload what is up, with the words that it was brought about with."""
    kept = _kept(lab)
    if not kept.contract():
        return Playbook("teardown", lab, {}, log).run(take)
    shutil.copy(lab.guest_entry, kept.guest_entry)  # the guest's own entry is written once the guest is up
    return Playbook("teardown", lab, {}, log, inventory=kept.inventory).run(take)


def _kept(lab: Lab) -> Lab:
    """The record, which has the form of a lab's own files."""
    return Lab(lab.name, lab.directory / "brought_about")


def _variables() -> list[str]:
    """The variables of the contract that reach those roles."""
    wiring = installation.read_yaml(installation.root() / "playbooks" / "vars" / "wiring.yml")
    texts = [str(value) for name, value in wiring.items() if name.startswith(ROLES)]
    return sorted({name for text in texts for name in re.findall(r"\bvexlab_\w+", text)})
