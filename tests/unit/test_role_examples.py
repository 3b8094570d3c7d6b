"""The example of each role's README is a playbook: Ansible reads it, and its inputs are inputs of the role."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_layout import ROLES, ROOT, options_of

COLLECTION = "vexfs.vexlab."
INVENTORY = "[guests]\na\n[hardware]\nb\n[hypervisors]\nc\n[testmachines]\nd\n"


def examples(document: Path) -> list[str]:
    """The plays that a document shows."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)
    return [block for block in blocks if block.startswith("- hosts:")]


DOCUMENTS = [
    *(ROOT / "roles" / role / "README.md" for role in ROLES),
    ROOT / "README.md",
    ROOT / "docs/pull-requests.md",
]
PLAYS = [
    (f"{path.relative_to(ROOT)} {number}", text) for path in DOCUMENTS for number, text in enumerate(examples(path), 1)
]


def roles_of(play: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Name and inputs of each role of a play."""
    return [(each["role"], each.get("vars", {})) for each in play["roles"]]


def test_each_role_shows_one() -> None:
    shown = {name for _, text in PLAYS for play in yaml.safe_load(text) for name, _ in roles_of(play)}
    assert shown == {COLLECTION + role for role in ROLES}


@pytest.mark.parametrize("text", [text for _, text in PLAYS], ids=[name for name, _ in PLAYS])
def test_inputs_are_the_roles_own(text: str) -> None:
    """None is misspelt, each has its type, and none that is always required is left out."""
    kinds = {"str": str, "path": str, "bool": bool, "int": int, "list": list, "dict": dict}
    for play in yaml.safe_load(text):
        for name, inputs in roles_of(play):
            options = options_of(name.removeprefix(COLLECTION))
            assert set(inputs) <= set(options), name
            assert all(isinstance(value, kinds[options[key]["type"]]) for key, value in inputs.items()), name
            chosen = [
                inputs[key] in option["choices"]
                for key, option in options.items()
                if "choices" in option and key in inputs
            ]
            assert all(chosen), name
            required = {key for key, option in options.items() if re.search(r"Required\.", str(option["description"]))}
            if inputs.get("vexfs_load_hardware"):  # the role refuses it otherwise
                required.add("vexfs_load_readiness")
            assert required <= set(inputs), name


def test_ansible_reads_each(tmp_path: Path) -> None:
    """With the collection as it is here: `ansible-playbook --syntax-check`."""
    playbooks = []
    for number, (_, text) in enumerate(PLAYS):
        playbooks.append(tmp_path / f"{number}.yml")
        playbooks[-1].write_text(text)
    (tmp_path / "inventory").write_text(INVENTORY)
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "--syntax-check", "--inventory", tmp_path / "inventory", *playbooks], cwd=ROOT, text=True,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"}, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("playbook: ") == len(PLAYS)
