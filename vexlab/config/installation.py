"""Where the things are that vexlab ships: playbooks, roles, checks, examples, the lab's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vexlab.errors import VexlabError

_REFERENCE = re.compile(r"{{ (\w+) }}")  # to a variable, as it is
COLLECTION = Path("ansible_collections") / "vexfs" / "vexlab"  # of site-packages; ansible-core looks there by itself


@cache
def root() -> Path:
    """Directory that holds `playbooks/`, `plugins/`, `roles/`, `inventory/`, `tests/stages/` and `examples/`.

    In a checkout that is the checkout, so that an edit counts at once; an editable install may hold a copy beside it.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent, package.parent / COLLECTION):
        if (candidate / "playbooks" / "vars" / "stages.yml").is_file():
            return candidate
    raise VexlabError(f"vexlab is installed without its playbooks in {package}", "install it again")


def collections() -> Path:
    """Directory below which Ansible finds what vexlab ships as collection `vexfs.vexlab`, before any other of the name.

    Site-packages of a wheel; of a checkout the directory that has the link to it.
    """
    shipped = root()
    return shipped.parents[2] if shipped.parts[-3:] == COLLECTION.parts else shipped / ".collections"


def playbook(name: str) -> Path:
    """Path of a playbook by its name without ending."""
    return root() / "playbooks" / f"{name}.yml"


def read_yaml(path: Path) -> Any:
    """Parse one of vexlab's own YAML files."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def contract_defaults() -> dict[str, Any]:
    """The lab contract: every `vexlab_*` variable that has a default."""
    defaults: dict[str, Any] = read_yaml(root() / "inventory" / "group_vars" / "vexlab.yml")
    return defaults


def inputs_of_role(role: str, contract: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a role gets of a contract, as far as THE map makes them of the contract's values alone."""
    wiring = read_yaml(root() / "playbooks" / "vars" / "wiring.yml")
    found: dict[str, Any] = {}
    for name, template in wiring.items():
        if not name.startswith(f"{role}_"):
            continue
        whole = _REFERENCE.fullmatch(str(template))
        if whole and whole[1] in contract:
            found[name] = contract[whole[1]]
        elif not (set(_REFERENCE.findall(str(template))) - set(contract)) and "{" not in _REFERENCE.sub("", template):
            found[name] = _REFERENCE.sub(lambda reference: str(contract[reference[1]]), template)
    return found


@cache
def role_choices(role: str, option: str) -> tuple[str, ...]:
    """What a role's argument specification lets an option be."""
    document = read_yaml(root() / "roles" / role / "meta" / "argument_specs.yml")
    return tuple(document["argument_specs"]["main"]["options"][option]["choices"])
