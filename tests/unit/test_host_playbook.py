"""A playbook on one host, which is this machine: what it tells, and when the host is taken for lost."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vexlab.errors import HostProblem
from vexlab.hosts import leases
from vexlab.hosts.leases import Leased
from vexlab.hosts.playbook import HostPlaybook
from vexlab.matrix import host_cell
from vexlab.run.events import Event, TaskRetried


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory with this machine as the one hypervisor."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "inventory.yml"
    path.write_text(
        "hypervisors: {hosts: {here: {ansible_connection: local, ansible_python_interpreter: "
        + sys.executable
        + "}}}\n"
    )
    return path


def a_cell(
    tmp_path: Path, command: Sequence[str], *, directory: str = "hosted", state: Path | None = None,
    home: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The variables of the playbooks of a cell."""
    return {
        "vexlab_cell": {"state": str(state or tmp_path), "home": str(home or tmp_path), "room_mb": 50},
        "vexlab_leased": Leased(str(tmp_path / directory), command, {}).variables(60),
    }


def test_command_is_followed_to_its_end_and_leaves_nothing(inventory: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    script = "echo first >&2; sleep 3; echo second >&2; sleep 2; echo answer; exit 3"
    cell = a_cell(tmp_path, ["sh", "-c", script])
    facts = HostPlaybook("cell", "here", inventory, 60).run(cell, tmp_path, seen.append)
    result = facts[leases.RESULT]
    assert (result["code"], result["answer"], result["said"]) == (3, "answer\n", "first\nsecond\n")
    asked = [leases.told(event) for event in seen if isinstance(event, TaskRetried)]
    assert "first\nsecond\n" in [each["said"] for each in asked], "what it does is told while it does it"
    assert not (tmp_path / "hosted").exists()


def test_evidence_comes_home(inventory: Path, tmp_path: Path) -> None:
    """The log of a build to the matrix, and the run of a guest to the runs; what it says of a run is no path."""
    there, here = tmp_path / "there", tmp_path / "here"
    for name in ("matrices/m/cell-there.log", "runs/20260101-000000-x/results.json"):
        (there / name).parent.mkdir(parents=True)
        (there / name).write_text(name)
    here.mkdir()
    answer = {"name": "m", "cells": [{"found": {"run": "20260101-000000-x"}}]}
    cell = a_cell(tmp_path, ["echo", json.dumps(answer)], state=there, home=here)
    HostPlaybook("cell", "here", inventory, 60).run(cell, tmp_path, lambda _: None)
    order = host_cell.Order("here", str(inventory), "cell-here", (), {}, str(there), 60, str(tmp_path))
    host_cell._keep(here / host_cell.EVIDENCE, order, "20260101-000000-x")
    assert (tmp_path / "cell-here.log").read_text() == "matrices/m/cell-there.log"
    kept = tmp_path / "state" / "vexlab" / "runs" / "20260101-000000-x" / "results.json"
    assert kept.read_text() == "runs/20260101-000000-x/results.json"
    host_cell._keep(here / host_cell.EVIDENCE, order, "../runs/20260101-000000-x")
    assert [path.name for path in kept.parents[1].iterdir()] == ["20260101-000000-x"]


def test_run_of_a_kept_cell_that_was_removed_there_costs_no_host(inventory: Path, tmp_path: Path) -> None:
    """What is kept names the run that it came of, and runs are removed some day."""
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "matrices" / "m").mkdir(parents=True)
    (there / "matrices" / "m" / "cell.log").write_text("log")
    here.mkdir()
    answer = {"name": "m", "cells": [{"found": {"run": "20260101-000000-x"}}]}
    cell = a_cell(tmp_path, ["echo", json.dumps(answer)], state=there, home=here)
    HostPlaybook("cell", "here", inventory, 60).run(cell, tmp_path, lambda _: None)
    order = host_cell.Order("here", str(inventory), "cell-here", (), {}, str(there), 60, str(tmp_path))
    host_cell._keep(here / host_cell.EVIDENCE, order, "20260101-000000-x")
    assert (tmp_path / "cell-here.log").read_text() == "log"
    assert not (tmp_path / "state" / "vexlab" / "runs").exists()


def test_evidence_that_takes_long_to_be_packed_costs_no_host(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of a guest that died is gigabytes. The command was heard of for as long as it went on."""
    (tmp_path / "matrices" / "m").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tar").write_text('#!/bin/sh\nsleep 33\nexec /usr/bin/tar "$@"\n')
    (tmp_path / "bin" / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    cell = a_cell(tmp_path, ["echo", json.dumps({"name": "m", "cells": [{"found": {"run": ""}}]})])
    HostPlaybook("cell", "here", inventory, 30).run(cell, tmp_path, lambda _: None)
    assert (tmp_path / host_cell.EVIDENCE).is_file()


def test_host_that_is_silent_for_too_long_is_lost(inventory: Path, tmp_path: Path) -> None:
    cell = a_cell(tmp_path, ["sleep", "60"])
    began = time.monotonic()
    with pytest.raises(HostProblem, match="no sign of life for 2 s"):  # a question waits for 5 s
        HostPlaybook("cell", "here", inventory, 2).run(cell, tmp_path, lambda _: None)
    assert time.monotonic() - began < 50
    HostPlaybook("leased_end", "here", inventory, 60).run(cell, tmp_path, lambda _: None)
    assert not (tmp_path / "hosted").exists()


def test_host_on_which_nothing_can_be_begun_is_lost_with_the_reason(inventory: Path, tmp_path: Path) -> None:
    cell = a_cell(tmp_path, ["true"], directory="/proc/none")
    with pytest.raises(HostProblem, match="/proc/none: No such file or directory"):
        HostPlaybook("cell", "here", inventory, 60).run(cell, tmp_path, lambda _: None)


def test_host_without_qemu_and_without_rights_gets_the_line_to_type(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an ordinary user, whom sudo asks for a password; it takes no cell, and nothing is installed."""
    programs = {"id": "echo 1000", "sudo": "exit 1", "apt-get": f"touch {tmp_path}/installed"}
    (tmp_path / "bin").mkdir()
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    variables = {"vexlab_host_directory": str(tmp_path / "share"), "vexlab_host_packages": ["dpkg", "qemu-of-nobody"]}
    said = "lacks packages, and neither root .*apt-get install --no-install-recommends qemu-of-nobody"
    with pytest.raises(HostProblem, match=said):
        HostPlaybook("hypervisor", "here", inventory, 60).run(variables, tmp_path, lambda _: None)
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vexlab_host_clock_seconds": -1}, "the clock of here is "),
        ({"vexlab_host_free_mb": 10**9}, "MB free where .* and 1000000000 MB are needed"),
    ],
)
def test_host_that_is_not_fit_for_cells_says_what_it_lacks(
    inventory: Path, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    """Its packages are there: this machine has them."""
    variables = {"vexlab_host_directory": str(tmp_path / "share"), "vexlab_host_packages": ["dpkg"], **given}
    with pytest.raises(HostProblem, match=said):
        HostPlaybook("hypervisor", "here", inventory, 60).run(variables, tmp_path, lambda _: None)
    assert not (tmp_path / "share").exists(), "it is only looked at"


@pytest.mark.parametrize("text", ["hypervisors: {hosts: {other: {ansible_connection: local}}}\n", None])
def test_host_that_is_in_the_inventory_no_more_is_told(inventory: Path, tmp_path: Path, text: str | None) -> None:
    """Ansible says of a play that has no host that all is well, or a word of its own."""
    inventory.write_text(text) if text else inventory.unlink()
    with pytest.raises(HostProblem) as problem:
        HostPlaybook("cell", "here", inventory, 60).run(a_cell(tmp_path, ["true"]), tmp_path, lambda _: None)
    assert problem.value.message == (
        f"{inventory} has no hypervisor 'here'" if text else f"there is no inventory {inventory}"
    )
