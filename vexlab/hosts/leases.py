"""A command on a host that goes on for as long as somebody here asks for it, as module `leased` does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vexlab.run.events import Event, TaskEnded, TaskRetried

GRACE = 170  # seconds that the host's keeper gets to end it
RESULT = "vexlab_leased_result"  # the fact that tells how far it is


@dataclass(frozen=True)
class Leased:
    """A command, the directory there that it alone has, and what its environment has beside that of the connection."""

    directory: str
    command: Sequence[str]
    environment: Mapping[str, str]

    def variables(self, patience: float) -> dict[str, Any]:
        """What playbooks get of it, which begin it, ask, and end it; `patience` is in seconds."""
        return {
            "directory": self.directory, "command": list(self.command), "environment": dict(self.environment),
            "patience": int(patience), "grace": GRACE,
        }  # fmt: skip


def told(event: Event) -> dict[str, Any]:
    """How far the command is, if an event tells of that."""
    facts = event.facts if isinstance(event, (TaskEnded, TaskRetried)) else {}
    return dict(facts.get(RESULT) or {})
