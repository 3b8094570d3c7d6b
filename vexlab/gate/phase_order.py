"""Which modules may begin a phase on a device, by what passed there before."""

from __future__ import annotations

from collections.abc import Iterable

from vexlab.errors import UsageProblem
from vexlab.gate.completeness import did_less
from vexlab.gate.evidence import PastRun
from vexlab.results.model import Verdict, left_out


def modules_that_passed(past: Iterable[PastRun], serial: str, number: int) -> list[str]:
    """sha256 of each module that passed a phase on the device with this serial number, the latest last.

    What went wrong there later, in whatever phase, takes that back, as does a run that went wrong and of which only
    the chain still tells; runs that did less than usual, as with --quick, or not all checks, show too little.
    """
    passed: list[str] = []
    for one in past:
        device = one.run.device if one.run else None
        if not one.module or (device is not None and device.serial != serial):
            continue
        if one.verdict is not Verdict.PASSED:
            passed = [known for known in passed if known != one.module]
        elif one.run and device and device.phase == number and not (left_out(one.run) or did_less(one.run)):
            passed = [*(known for known in passed if known != one.module), one.module]
    return passed


def allowed_modules(past: Iterable[PastRun], serial: str, number: int) -> list[str]:
    """The modules that may begin a phase on this device; raises UsageProblem when none may. Phase 1 asks for none."""
    if number == 1:
        return []
    found = modules_that_passed(past, serial, number - 1)
    if not found:
        raise UsageProblem(
            f"no module has passed phase {number - 1} on the device {serial}, or what passed went wrong since",
            f"vexlab device test --phase {number - 1}",
        )
    return found
