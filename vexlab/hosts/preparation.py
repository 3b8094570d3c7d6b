"""A hypervisor made ready: looked at, then brought what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from vexlab.hosts import shipment
from vexlab.hosts.playbook import HostPlaybook
from vexlab.hosts.shipment import CACHE, SHARE, Item
from vexlab.run import scratch
from vexlab.run.events import Event, TaskStarted

PATIENCE = 1800.0  # seconds in which nothing is heard: packages are installed, and large archives sent
SLOW = {
    "Install the missing packages": "gets the packages that it lacks", "Send it": "is sent what it lacks",
}  # fmt: skip
ENVIRONMENTS = f"{SHARE}/environments"


class Prepared(Struct, frozen=True):
    """What a host is, and the Python that runs vexlab on it; or why it can't be used."""

    home: str = ""
    cpus: int = 0
    python: str = ""
    lost: str = ""


def environment(home: str, code: str, state: str) -> dict[str, str]:
    """What the environment of vexlab has on a host; `state` is below the home directory.

    Sockets go to /tmp: what a login has for them may go with the last one, and a guest goes on.
    """
    return {
        "PYTHONPATH": code, "XDG_CACHE_HOME": f"{home}/{CACHE}", "XDG_STATE_HOME": f"{home}/{state}",
        "XDG_RUNTIME_DIR": "", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def prepare(host: str, inventory: Path, items: Sequence[Item], tell: Callable[[str], None]) -> Prepared:
    """Look at the host, then bring what is missing; `tell` gets what takes a while. Raises VexlabError."""

    def show(event: Event) -> None:
        if isinstance(event, TaskStarted) and event.task in SLOW:
            tell(SLOW[event.task])

    playbook = HostPlaybook("hypervisor", host, inventory, PATIENCE)
    with scratch.directory() as directory:
        tell("is looked at")
        known = playbook.run({"vexlab_host_directory": f"~/{SHARE}"}, directory, show)["vexlab_hypervisor_result"]
        home, version = known["home"], known["python"]["version"]
        wheels = shipment.wheels((version[0], version[1]))
        environment = f"{home}/{ENVIRONMENTS}/{Path(wheels.directory).name}"
        playbook.run({
            "vexlab_host_directory": f"{home}/{SHARE}", "vexlab_host_wheels": f"{home}/{wheels.directory}",
            "vexlab_host_environment": environment,
            "vexlab_host_shipped": [item.below(home) for item in (*items, wheels)],
        }, directory, show)  # fmt: skip
    return Prepared(home, known["cpus"], f"{environment}/bin/python")
