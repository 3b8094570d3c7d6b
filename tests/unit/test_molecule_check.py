"""molecule/shared/check.yml: what it makes of an inner run, whatever colours a terminal brings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STAYS: dict[str, object] = {
    "name": "Look",
    "ansible.builtin.command": {"argv": ["true"]},
    "changed_when": False,
    "check_mode": False,
}
CHANGES: dict[str, object] = {
    "name": "Write a file",
    "ansible.builtin.copy": {"content": "x", "dest": "{{ playbook_dir }}/x", "mode": "0600"},
}
FAILS: dict[str, object] = {"name": "Give up", "ansible.builtin.fail": {"msg": "no"}}


def checked(directory: Path, *tasks: dict[str, object], hosts: str = "guest") -> subprocess.CompletedProcess[str]:
    """What the step of a scenario comes to when these are the tasks of the stages; colours are forced."""
    (directory / "playbooks").mkdir()
    play = {"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}
    (directory / "playbooks" / "stages.yml").write_text(yaml.safe_dump([play]))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"hypervisors": {"hosts": {"localhost": local}}, "guests": {"hosts": {"guest": local}}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    # As molecule sets them; the environment is not activated.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "NO_COLOR"))}
    environment |= {
        "MOLECULE_PROJECT_DIRECTORY": str(directory), "MOLECULE_EPHEMERAL_DIRECTORY": str(directory / "state"),
        "ANSIBLE_FORCE_COLOR": "1", "TERM": "xterm", "HOME": str(directory), "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    command = [str(BIN / "ansible-playbook"), "-i", f"{directory}/hosts.yml", str(ROOT / "molecule/shared/check.yml")]
    return subprocess.run(command, env=environment, cwd=directory, text=True, capture_output=True, check=False)


def test_nothing_would_change(tmp_path: Path) -> None:
    done = checked(tmp_path, STAYS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_would_change_is_named(tmp_path: Path) -> None:
    done = checked(tmp_path, STAYS, CHANGES)
    assert done.returncode != 0
    assert "would change: Write a file" in " ".join(done.stdout.split())
    assert not (tmp_path / "playbooks" / "x").exists()


@pytest.mark.parametrize(("tasks", "hosts"), [((STAYS, FAILS), "guest"), ((STAYS,), "nobody"), ((), "guest")])
def test_run_that_failed_or_did_nothing_is_no_pass(
    tmp_path: Path, tasks: tuple[dict[str, object], ...], hosts: str
) -> None:
    assert checked(tmp_path, *tasks, hosts=hosts).returncode != 0
