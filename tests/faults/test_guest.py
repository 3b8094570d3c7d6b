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


def flood(site: Site) -> Done:
    """Lines on the console as if the guest had written them: an emulated serial port takes minutes for so many."""
    before = site.runs()
    process = site.start("verify", "--stage", "load")
    run = site.wait_for_log(process, "TASK [Begin stage load]", before)
    with (site.vexlab.labs / "default" / "console.log").open("ab") as console:
        for _ in range(100):
            console.write(b"[   99.000000] the same again and again and again, which is nothing bad\n" * 14000)
    done = site.vexlab.finish(process)
    kept = (run / "console.log").stat().st_blocks * 512
    assert kept < 50 << 20, f"{kept >> 20} MiB of the console are kept with the run"
    return done


FAULTS = (
    Fault(
        "QEMU is stopped", "SIGSTOP to QEMU while stage mount is judged", hit_qemu(signal.SIGSTOP, "mount"),
        verdict="not_run", exit_code=3, lab="up", says=("was stopped from outside",), in_test=True,
    ),
    Fault(
        "QEMU is killed", "SIGKILL to QEMU while stage mount is judged", hit_qemu(signal.SIGKILL, "mount"),
        verdict="lost", exit_code=1, lab="up",
    ),
    Fault(
        "QEMU is ended", "SIGTERM to QEMU while stage load is judged", hit_qemu(signal.SIGTERM, "load"),
        verdict="lost", exit_code=1, lab="up",
    ),
    Fault(
        "100 MB on the console", "lines of 100 MB in the guest's console log while stage load is judged", flood,
        verdict="passed", exit_code=0, lab="up",
    ),
)  # fmt: skip
