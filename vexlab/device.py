"""Phases of a test on a device: which there are, and which one a module may begin there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vexlab import content
from vexlab.errors import UsageProblem
from vexlab.results import Machine, Run, Verdict


@dataclass(frozen=True)
class Phase:
    """One entry of `playbooks/vars/phases.yml`: `stages` are judged, `applied` only brought about."""

    phase: int
    title: str
    stages: tuple[str, ...]
    applied: tuple[str, ...]


def phases() -> tuple[Phase, ...]:
    """THE list of phases, in order."""
    document = content.read_yaml(content.root() / "playbooks" / "vars" / "phases.yml")
    return tuple(
        Phase(entry["phase"], entry["title"], tuple(entry["stages"]), tuple(entry["applied"]))
        for entry in document["phases"]
    )


def phase(number: int) -> Phase:
    """The phase of that number."""
    return next(found for found in phases() if found.phase == number)


def modules_that_passed(runs: Iterable[Run], serial: str, number: int) -> list[str]:
    """sha256 of each module that passed a phase on the device with this serial number, the latest last.

    What went wrong there later, in whatever phase, takes that back; runs with --quick show too little.
    """
    passed: list[str] = []
    for run in runs:
        of_device = run.machine is Machine.HARDWARE and run.device is not None and run.device.serial == serial
        if not of_device or run.module is None or run.device is None:
            continue
        sha256 = run.module.sha256
        if run.verdict is not Verdict.PASSED:
            passed = [one for one in passed if one != sha256]
        elif run.device.phase == number and run.amounts is not None and not run.amounts.quick:
            passed = [*(one for one in passed if one != sha256), sha256]
    return passed


def allowed_modules(runs: Iterable[Run], serial: str, number: int) -> list[str]:
    """The modules that may begin a phase on this device; raises UsageProblem when none may. Phase 1 asks for none."""
    if number == 1:
        return []
    found = modules_that_passed(runs, serial, number - 1)
    if not found:
        raise UsageProblem(
            f"no module has passed phase {number - 1} on the device {serial}, or what passed went wrong since",
            f"vexlab device test --phase {number - 1}",
        )
    return found
