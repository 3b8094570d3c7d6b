"""A playbook on one hypervisor, which is taken for lost when it gives no sign of life for so long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexlab.errors import HostProblem, UsageProblem
from vexlab.guest import hypervisors
from vexlab.guest.lab import Lab
from vexlab.hosts import leases
from vexlab.run.events import Clock, Event, TaskEnded, TaskRetried, TaskStarted
from vexlab.run.playbook import Playbook

AFTERWARDS = 1800.0  # seconds without a sign of life when a command has ended: what it left is packed, and brought
IN_MEMORY = "/dev/shm"  # noqa: S108  where a host has room for Ansible's files though its disk is full


@dataclass(frozen=True)
class HostPlaybook:
    """A playbook that runs on one host of an inventory; `patience` is in seconds."""

    name: str
    host: str
    inventory: Path
    patience: float

    def run(self, variables: Mapping[str, Any], scratch: Path, notice: Callable[[Event], None]) -> dict[str, Any]:
        """Run it; the facts that it told. `notice` gets every event.

        Raises HostProblem with the reason when the host is silent, can't be reached, isn't in the inventory any more,
        or a task fails there.
        """
        facts: dict[str, Any] = {}
        heard, patience, is_silent, begun = time.monotonic(), self.patience, False, False

        def take(event: Event) -> bool:
            nonlocal heard, patience, is_silent, begun
            match event:
                case TaskEnded() | TaskRetried():
                    heard = event.at
                    facts.update(event.facts)
                    if not leases.told(event).get("running", True):
                        patience = max(patience, AFTERWARDS)
                case TaskStarted():
                    heard, begun = event.at, True
                case Clock(at):
                    is_silent = is_silent or at - heard > patience
            notice(event)
            return is_silent

        lab = Lab(self.host, scratch, self.inventory)
        log = scratch / f"{self.name}.log"
        outcome = Playbook(self.name, lab, variables, log, inventory=self.inventory, remote_tmp=IN_MEMORY).run(take)
        if is_silent:
            raise HostProblem(f"no sign of life for {patience:.0f} s")
        if not begun:  # Ansible is content where a play has no host
            self._find_host()
        if not outcome.ok or not begun:
            said = outcome.failure.message if outcome.failure else f"Ansible failed: {log.read_text()[-600:].strip()}"
            raise HostProblem(said)
        return facts

    def _find_host(self) -> None:
        """Look into the inventory, which may have changed; raises HostProblem when the host isn't in it any more."""
        try:
            hypervisors.one(self.inventory, self.host)
        except UsageProblem as problem:
            raise HostProblem(problem.message, problem.hint) from None
