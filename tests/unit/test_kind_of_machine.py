"""What kind of machine the roles take for one that they may touch, with a systemd-detect-virt of each kind in PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# What the real one prints without and with --vm, and with which exit code.
MACHINES = {
    "kvm": "echo kvm",
    "container_in_kvm": 'case "$*" in *--vm*) echo kvm;; *) echo lxc;; esac',
    "container_on_metal": 'case "$*" in *--vm*) echo none; exit 1;; *) echo lxc;; esac',
    "metal": "echo none; exit 1",
    "says_nothing": "exit 0",
    "fails": "echo kvm; exit 2",
    "cannot_tell": "echo 'Failed to detect' >&2; exit 1",
    "without_the_program": "",
}
VIRTUAL = {"kvm", "container_in_kvm"}
SAID = "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'said'))) | to_json }}"
ROLES = ("vexfs_load", "vexfs_mkfs", "vexfs_mount", "vexlab_backup", "vexlab_recover")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What role vexlab_machine says on each machine; empty when it lets it be."""
    directory = tmp_path_factory.mktemp("machines")
    for name, script in MACHINES.items():
        (directory / name).mkdir()
        if script:
            program = directory / name / "systemd-detect-virt"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
    hosts: dict[str, Any] = {name: {"alone": str(directory / name)} for name in MACHINES}
    hosts |= {f"{name}_declared": {**one, "vexlab_machine_hardware": True} for name, one in hosts.items()}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    play = {
        "hosts": "all", "gather_facts": False, "tasks": [
            {"ansible.builtin.set_fact": {"said": ""}},
            {
                "environment": {"PATH": "{{ alone }}"},
                "block": [{"ansible.builtin.include_role": {"name": "vexfs.vexlab.vexlab_machine"}}],
                "rescue": [{"ansible.builtin.set_fact": {"said": "{{ ansible_failed_result.msg }}"}}],
            },
            {"ansible.builtin.copy": {"content": SAID, "dest": f"{directory}/said.json"}, "run_once": True},
        ],
    }  # fmt: skip
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": local}}))
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        cwd=directory, capture_output=True, text=True, check=False,
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_FORKS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    said: dict[str, str] = json.loads((directory / "said.json").read_text())
    return {name: " ".join(words.split()) for name, words in said.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_only_a_virtual_machine_or_one_that_is_declared_is_touched(machine: str, told: dict[str, str]) -> None:
    """A container is as the machine below it; what can't be told is refused."""
    assert ("is no virtual machine" in told[machine]) == (machine not in VIRTUAL)
    assert told[f"{machine}_declared"] == ""


def test_message_says_what_was_seen_and_what_to_do(told: dict[str, str]) -> None:
    assert "container_on_metal is no virtual machine (systemd-detect-virt says none)" in told["container_on_metal"]
    assert "set vexlab_machine_hardware for that host" in told["metal"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_that_touches_a_kernel_or_a_disk_asks_it(role: str) -> None:
    """And hands its own declaration on; that each refuses is in molecule/refusal."""
    tasks = yaml.safe_load((ROOT / "roles" / role / "tasks" / "preflight.yml").read_text())
    asked = [
        task for task in tasks if task.get("ansible.builtin.include_role") == {"name": "vexfs.vexlab.vexlab_machine"}
    ]
    assert [task["vars"]["vexlab_machine_hardware"] for task in asked] == [f"{{{{ {role}_hardware }}}}"]
    assert asked[0].get("when") is None


def test_nobody_else_asks() -> None:
    """One way for all: no other role, module or playbook looks at the machine by itself."""
    asking = {
        path.stem if "plugins" in path.parts else path.relative_to(ROOT).parts[1]
        for place in ("roles", "playbooks", "plugins")
        for path in (ROOT / place).rglob("*")
        if path.suffix in (".yml", ".py", ".sh") and "detect-virt" in path.read_text(encoding="utf-8")
    }
    assert asking == {"vexlab_machine", "machine"}
    declared = {
        path.parent.parent.name
        for path in (ROOT / "roles").glob("*/defaults/main.yml")
        if f"{path.parent.parent.name}_hardware" in yaml.safe_load(path.read_text())
    }
    assert declared == {*ROLES, "vexlab_machine"}
