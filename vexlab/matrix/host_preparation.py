"""Prepares a hypervisor to take cells: the program that a matrix starts for each.

Run as: python -m vexlab.matrix.host_preparation, with an order as JSON on standard input. What it is doing, and in the
end what the host is, are lines of JSON on standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec import Struct

from vexlab.errors import VexlabError
from vexlab.matrix import answering, shipment
from vexlab.matrix.host_playbook import HostPlaybook
from vexlab.matrix.shipment import SHARE, Item
from vexlab.matrix.worker import tell
from vexlab.run import scratch
from vexlab.run.events import Event, TaskStarted

PATIENCE = 1800.0  # seconds in which nothing is heard: packages are installed, and large archives sent
SLOW = {
    "Install the missing packages": "gets the packages that it lacks", "Send it": "is sent what it lacks",
}  # fmt: skip
ENVIRONMENTS = f"{SHARE}/environments"


class Order(Struct, frozen=True):
    """Which host of which inventory, and what it gets."""

    host: str
    inventory: str
    items: tuple[Item, ...]


class Prepared(Struct, frozen=True):
    """What the host is, and the Python that runs vexlab on it; or why it can't take cells."""

    home: str = ""
    cpus: int = 0
    python: str = ""
    lost: str = ""


def perform(order: Order) -> Prepared:
    """Look at the host, then bring what is missing; raises VexlabError."""
    playbook = HostPlaybook("hypervisor", order.host, Path(order.inventory), PATIENCE)
    with scratch.directory() as directory:
        tell("is looked at")
        known = playbook.run({"vexlab_host_directory": f"~/{SHARE}"}, directory, _show)["vexlab_hypervisor_result"]
        home, version = known["home"], known["python"]["version"]
        wheels = shipment.wheels((version[0], version[1]))
        environment = f"{home}/{ENVIRONMENTS}/{Path(wheels.directory).name}"
        playbook.run({
            "vexlab_host_directory": f"{home}/{SHARE}", "vexlab_host_wheels": f"{home}/{wheels.directory}",
            "vexlab_host_environment": environment,
            "vexlab_host_shipped": [item.below(home) for item in (*order.items, wheels)],
        }, directory, _show)  # fmt: skip
    return Prepared(home, known["cpus"], f"{environment}/bin/python")


def _show(event: Event) -> None:
    """Tell the matrix of what takes a while."""
    if isinstance(event, TaskStarted) and event.task in SLOW:
        tell(SLOW[event.task])


def _lost(problem: VexlabError) -> Prepared:
    return Prepared(lost=f"{problem.message} → {problem.hint}" if problem.hint else problem.message)


if __name__ == "__main__":
    sys.exit(answering.serve(Order, perform, _lost))
