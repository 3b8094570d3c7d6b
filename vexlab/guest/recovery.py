"""What a lab may have brought about on its machine, kept beside it before anything is loaded or mounted there.

`vexlab recover` goes by this alone: source, target file and settings may be what went wrong. What an earlier target
brought about stays known, since another one may have been tried after it had failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from vexlab.config.atomic_file import replace_file
from vexlab.errors import VexlabError
from vexlab.guest.lab import Lab

# The part of the contract that role vexlab_recover gets, and what each may look like: it goes to Ansible as it is.
SHAPES = {
    "vexlab_module_name": re.compile(r"\w*"),  # empty: nothing is unloaded
    "vexlab_filesystem_type": re.compile(r"[\w.-]+"),
    "vexlab_mount_point": re.compile(r"/[^{}\0]+"),
    "vexlab_work_directory": re.compile(r"/[^{}\0]+"),
    "vexlab_device": re.compile(r"(/[^{}\0]+)?"),
}
MODULES = "vexlab_modules"  # also of that part: those that were built, which an earlier vexlab did not keep
MODULE_SHAPES = {"name": re.compile(r"\w+"), "file": re.compile(r"[^{}\0]+")}
KEPT = 8  # as many targets are remembered
NAME_THEM = "name what is to be taken down: --module NAME --type TYPE"


def remember(lab: Lab, contract: Mapping[str, Any]) -> None:
    """Keep what the contract has brought about, the newest last; raises VexlabError when it can't be kept."""
    one: dict[str, Any] = {name: str(contract[name]) for name in SHAPES}
    built = (module for module in contract[MODULES] if "file" in module)
    one[MODULES] = [{name: str(module[name]) for name in MODULE_SHAPES} for module in built]
    if contract["vexlab_module_source"] == "kernel":  # which isn't the lab's to unload
        one["vexlab_module_name"] = ""
    try:
        earlier = known(lab)[::-1]
    except VexlabError:
        earlier = []
    entries = [*(entry for entry in earlier if entry != one), one][-KEPT:]
    replace_file(lab.directory / "recovery.json", json.dumps({"schema": 1, "entries": entries}, indent=1) + "\n")


def known(lab: Lab) -> list[dict[str, Any]]:
    """What the lab may have brought about, the newest first; raises VexlabError when that isn't known."""
    path = lab.directory / "recovery.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
        found = [checked(entry) for entry in entries]
    except FileNotFoundError:
        raise VexlabError(f"nothing is known that {lab.name} brought about: there is no {path}", NAME_THEM) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise VexlabError(f"what {lab.name} brought about isn't known: {path}: {problem}", NAME_THEM) from None
    if not found:
        raise VexlabError(f"nothing is known that {lab.name} brought about: {path} is empty", NAME_THEM)
    return found[::-1]


def checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry, if all of it looks as it should; raises ValueError, KeyError or TypeError otherwise."""
    modules = [_shaped(module, MODULE_SHAPES) for module in entry.get(MODULES, [])]
    return {**_shaped(entry, SHAPES), MODULES: modules}


def _shaped(found: Mapping[str, Any], shapes: Mapping[str, re.Pattern[str]]) -> dict[str, str]:
    """The values of these names, if each looks as it should."""
    for name, shape in shapes.items():
        if not shape.fullmatch(found[name]):
            raise ValueError(f"{name} is {found[name]!r}")
    return {name: found[name] for name in shapes}
