"""Has a hypervisor do a cell: the program that a matrix starts for each cell that it gives to one.

Run as: python -m vexlab.matrix.host_cell, with an order as JSON on standard input. What the cell is doing, and in the
end what was found, are lines of JSON on standard output. On the host it is `vexlab matrix` of that cell alone.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vexlab.errors import Interrupted, VexlabError
from vexlab.hosts import leases, runs_home
from vexlab.hosts.leases import Leased
from vexlab.hosts.playbook import HostPlaybook
from vexlab.matrix import answering
from vexlab.matrix.worker import tell
from vexlab.results import matrix
from vexlab.results.matrix import Finding
from vexlab.results.model import Verdict
from vexlab.run import scratch
from vexlab.run.events import Event

ROOM_MB = 50  # free space with less of which a disk is full
END_PATIENCE = 20.0  # seconds in which a host is told to end what goes on there; else it does so by itself
EVIDENCE = "evidence.tar.gz"  # playbooks/cell.yml brings it home


class Order(Struct, frozen=True):
    """Which host does which cell by which command, and where evidence goes.

    `source` is here, and `source_there` the same on the host; `state` is vexlab's directory of labs and runs there.
    """

    host: str
    inventory: str
    cell: str
    command: tuple[str, ...]
    environment: dict[str, str]
    state: str
    patience: float
    directory: str
    source: str = ""
    source_there: str = ""


class HostAnswer(Struct, frozen=True):
    """What was found, and whether that was before; or why the host is lost."""

    found: Finding = Finding()
    kept: bool = False
    lost: str = ""


def perform(order: Order) -> HostAnswer:
    """Have it done; raises VexlabError when the host failed at it."""
    name = f"{order.cell}-{secrets.token_hex(4)}"
    with scratch.directory() as home:
        leased = Leased(f"{order.state}/hosted/{name}", order.command, order.environment)
        variables = {
            "vexlab_cell": {"state": order.state, "home": str(home), "room_mb": ROOM_MB},
            "vexlab_leased": leased.variables(order.patience),
        }
        playbook = HostPlaybook("cell", order.host, Path(order.inventory), order.patience)
        try:
            facts = playbook.run(variables, home, _show)
        except Interrupted:
            _end(order, variables, home)
            raise
        answer = judge(facts.get(leases.RESULT, {}), order)
        if (home / EVIDENCE).is_file():  # else there is no verdict, or was no room to pack it
            _keep(home / EVIDENCE, order, answer.found.run)
    return answer


def judge(result: Mapping[str, Any], order: Order) -> HostAnswer:
    """What a command that ended says of its cell, and of its host.

    What fails on a full disk may fail of that, whatever it says.
    """
    answer = HostAnswer(Finding(problem=_why(result), exit_code=3))
    with contextlib.suppress(VexlabError, ValueError):
        [record] = matrix.parse(result["answer"], order.host).cells
        answer = HostAnswer(_with_own_paths(record.found, order), record.kept)
    if result["free_mb"] < ROOM_MB and answer.found.verdict is not Verdict.PASSED:
        return HostAnswer(lost=f"its disk is full: {result['free_mb']} MB are free")
    return answer


def _with_own_paths(found: Finding, order: Order) -> Finding:
    """The same with the paths of the source as they are here."""
    if not order.source_there:
        return found
    words = {name: getattr(found, name).replace(order.source_there, order.source) for name in ("error", "details")}
    return msgspec.structs.replace(found, **words)


def _why(result: Mapping[str, Any]) -> str:
    """Why there is no answer: what the command said of a problem, or how it ended."""
    problems = [event for event in _events(result["said"]) if event.get("event") == "problem"]
    if problems:
        return str(problems[-1]["message"])
    last = next(iter(reversed(result["said"].strip().splitlines())), "")
    by = "was killed with its keeper" if result["code"] is None else f"ended with {result['code']}"
    return result["why"] or f"vexlab {by}{f': {last}' if last else ''}"


def _events(said: str) -> list[dict[str, Any]]:
    """The events of a stream of which the beginning may be missing."""
    found = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            found += [event] if isinstance(event, dict) else []
    return found


_told: list[str] = [""]


def _show(event: Event) -> None:
    """Tell the matrix of what the cell does."""
    if result := leases.told(event):
        doing = [each["doing"] for each in _events(result["said"]) if each.get("event") == "doing"]
        if doing and doing[-1] != _told[0]:
            _told[0] = doing[-1]
            tell(doing[-1])


def _end(order: Order, variables: Mapping[str, Any], home: Path) -> None:
    """End what goes on there; a host that doesn't answer does so by itself, when nobody has asked for a while."""
    playbook = HostPlaybook("leased_end", order.host, Path(order.inventory), END_PATIENCE)
    with contextlib.suppress(VexlabError):
        playbook.run(variables, home, lambda _: None)


def _keep(archive: Path, order: Order, run: str) -> None:
    """Take what came home: the log of the build, and the run, if there was one of a name that leads nowhere else."""
    with tarfile.open(archive) as packed:
        packed.extractall(archive.parent, filter="data")
    for log in archive.parent.glob("matrices/*/*.log"):
        shutil.copyfile(log, Path(order.directory) / f"{order.cell}.log")
    brought = archive.parent / "runs" / run
    if run and Path(run).name == run and brought.is_dir():
        runs_home.keep(brought)


def _failed(problem: VexlabError) -> HostAnswer:
    """The host failed, and not the cell."""
    return HostAnswer(lost=problem.message)


if __name__ == "__main__":
    sys.exit(answering.serve(Order, perform, _failed))
