"""Where things are: what vexlab ships (playbooks, roles, tests, examples) and the directories that it writes to."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs
import yaml

from vexlab import source_tree
from vexlab.errors import UsageProblem, VexlabError

JUDGING = ("ansible.cfg", "inventory", "playbooks", "plugins", "roles", "tests/guest")
"""What of the shipped files brings stages about and judges them, beside vexlab's own code."""
_CONTENT = "_content"  # where an installed package has them


@cache
def root() -> Path:
    """Directory that holds `playbooks/`, `plugins/`, `roles/`, `inventory/`, `tests/guest/` and `examples/`.

    In a checkout that is the checkout, so that an edit counts at once; an editable install may hold a copy beside it.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package.parent, package / _CONTENT):
        if (candidate / "playbooks" / "vars" / "stages.yml").is_file():
            return candidate
    raise VexlabError(f"vexlab is installed without its playbooks in {package}", "install it again")


def playbook(name: str) -> Path:
    """Path of a playbook by its name without ending."""
    return root() / "playbooks" / f"{name}.yml"


def read_yaml(path: Path) -> Any:
    """Parse one of vexlab's own YAML files."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class StageSpec:
    """One entry of `playbooks/vars/stages.yml`.

    `role`: whether a role brings the stage about. `up`: whether `vexlab up` runs it. `needs`: the stages without which
    it can't run. `deadline` in seconds.
    """

    name: str
    title: str
    role: bool
    up: bool
    needs: tuple[str, ...]
    deadline: int


@cache
def stages() -> tuple[StageSpec, ...]:
    """THE list of stages, in order."""
    document = read_yaml(root() / "playbooks" / "vars" / "stages.yml")
    return tuple(stage_spec(entry) for entry in document["stages"])


def stage_spec(entry: dict[str, Any]) -> StageSpec:
    """A stage from its entry in the list; raises UsageProblem for a deadline that would end it before it begins."""
    spec = StageSpec(**entry | {"needs": tuple(entry["needs"])})
    if type(spec.deadline) is not int or spec.deadline < 1:
        raise UsageProblem(
            f"the deadline of stage {spec.name} is {spec.deadline!r}",
            "it must be a whole number of seconds, 1 or more: playbooks/vars/stages.yml",
        )
    return spec


def stages_for(chosen: Sequence[str]) -> list[str]:
    """Names of the stages that judging these takes: they and all that they need, in order; all when none is chosen."""
    names = [spec.name for spec in stages()]
    if unknown := [name for name in chosen if name not in names]:
        raise UsageProblem(f"unknown stage {unknown[0]!r}", f"known: {', '.join(names)}")
    wanted = set(chosen or names)
    for spec in reversed(stages()):  # what a stage needs comes before it
        if spec.name in wanted:
            wanted |= set(spec.needs)
    return [name for name in names if name in wanted]


@cache
def contract_defaults() -> dict[str, Any]:
    """The lab contract: every `vexlab_*` variable that has a default."""
    defaults: dict[str, Any] = read_yaml(root() / "inventory" / "group_vars" / "vexlab.yml")
    return defaults


@cache
def role_choices(role: str, option: str) -> tuple[str, ...]:
    """What a role's argument specification lets an option be."""
    document = read_yaml(root() / "roles" / role / "meta" / "argument_specs.yml")
    return tuple(document["argument_specs"]["main"]["options"][option]["choices"])


@cache
def role_script(role: str, name: str) -> ModuleType:
    """A script of a role as a module: for what a role must be able to do alone, and vexlab does by the same rules."""
    return _module(f"vexlab_role_{role}_{name}", root() / "roles" / role / "files" / f"{name}.py")


@cache
def module_util(name: str) -> ModuleType:
    """A module of what roles, the checks and vexlab have in common: plugins/module_utils/.

    It is found beside the playbooks, which in a wheel are no package that could be imported.
    """
    return _module(f"vexlab_module_util_{name}", root() / "plugins" / "module_utils" / f"{name}.py")


def _module(name: str, path: Path) -> ModuleType:
    """A module from its file; raises VexlabError when that isn't there."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VexlabError(f"vexlab is installed without {path}", "install it again")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@cache
def suite() -> str:
    """sha256 over the names and contents of all that brings stages about and judges them.

    That is checks, playbooks and roles, the contract's defaults, and vexlab itself.
    """
    return tree_hash(root(), Path(__file__).resolve().parent)


def tree_hash(shipped: Path, package: Path) -> str:
    """What `suite` is, of the directory that holds the playbooks and of the one that holds vexlab's own code."""
    files = {path: path.relative_to(shipped) for name in JUDGING for path in _files(shipped / name)}
    own = {path: path.relative_to(package) for path in _files(package)}
    # an installed vexlab has its playbooks below its code
    files |= {path: "vexlab" / name for path, name in own.items() if name.parts[0] != _CONTENT}
    total = hashlib.sha256()
    for path, name in sorted(files.items(), key=lambda each: each[1]):
        total.update(os.fsencode(name) + f"\0{source_tree.content_hash(path.resolve())}\0".encode())
    return total.hexdigest()


def _files(place: Path) -> list[Path]:
    """The files in a directory, or the one that it is, without what Python compiled and what is hidden."""
    found = [place] if place.is_file() else [path for path, _ in source_tree.entries(place)]
    return [
        path
        for path in found
        if path.suffix != ".pyc" and not any(part.startswith(".") for part in path.relative_to(place.parent).parts)
    ]


def cache_directory() -> Path:
    """Where images are kept."""
    return Path(platformdirs.user_cache_dir("vexlab", appauthor=False)) / "images"


def state_directory() -> Path:
    """Where labs and runs are kept."""
    return Path(platformdirs.user_state_dir("vexlab", appauthor=False))


def runs_directory() -> Path:
    """Where each run has its directory."""
    return state_directory() / "runs"


def labs_directory() -> Path:
    """Where each lab has its directory."""
    return state_directory() / "labs"
