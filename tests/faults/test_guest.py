"""What happens to the guest's QEMU from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def hit_qemu(number: signal.Signals, stage: str) -> Callable[[Site], Done]:
    """Send QEMU a signal once `vexlab verify` judges the stage."""

    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start("verify")
        site.wait_for_stage(process, stage, before)
        os.kill(site.vexlab.record()["pid"], number)
        return site.vexlab.finish(process, patience=180)

    return inject


FAULTS = (
    Fault(
        "QEMU is stopped", "SIGSTOP to QEMU while stage mount is judged", hit_qemu(signal.SIGSTOP, "mount"),
        verdict="hung", exit_code=1, lab="up", says=("was stopped from outside",), in_test=True,
    ),
    Fault(
        "QEMU is killed", "SIGKILL to QEMU while stage mount is judged", hit_qemu(signal.SIGKILL, "mount"),
        verdict="lost", exit_code=1, lab="up",
    ),
    Fault(
        "QEMU is ended", "SIGTERM to QEMU while stage load is judged", hit_qemu(signal.SIGTERM, "load"),
        verdict="lost", exit_code=1, lab="up",
    ),
)  # fmt: skip
