"""THE phases of a test on a device, as playbooks/vars/phases.yml has them."""

from __future__ import annotations

from dataclasses import dataclass

from vexlab.config import installation


@dataclass(frozen=True)
class Phase:
    """One entry of `playbooks/vars/phases.yml`: `stages` are judged, `applied` only brought about."""

    phase: int
    title: str
    stages: tuple[str, ...]
    applied: tuple[str, ...]


def phases() -> tuple[Phase, ...]:
    """THE list of phases, in order."""
    document = installation.read_yaml(installation.root() / "playbooks" / "vars" / "phases.yml")
    return tuple(
        Phase(entry["phase"], entry["title"], tuple(entry["stages"]), tuple(entry["applied"]))
        for entry in document["phases"]
    )


def phase(number: int) -> Phase:
    """The phase of that number."""
    return next(found for found in phases() if found.phase == number)
