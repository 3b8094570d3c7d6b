"""Signals to vexlab in each stage and while the evidence is sealed. The guest was up before, and stays up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

from tests.e2e.harness import Done, wait_until
from tests.faults.fault import Fault
from tests.faults.fault_site import Site
from tests.faults.test_signals_before_stages import SIGNALS

SEALED_BYTES = 6 << 30  # of holes: it takes seconds to hash them, in which the signal comes


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def in_a_stage(number: signal.Signals, stage: str) -> Callable[[Site], Done]:
    """Judge one stage of the guest that is up; stage build is brought about anew, by `up` after an edit."""

    def inject(site: Site) -> Done:
        before = site.runs()
        if stage == "build":
            module = site.source / "kernel" / "vexfs_module_entry.c"
            module.write_text(module.read_text() + f"\n/* {number.name} */\n")
        process = site.start() if stage == "build" else site.start("verify", "--stage", stage)
        site.wait_for_log(process, f"TASK [Begin stage {stage}]", before)
        return site.end_with(process, number)

    return inject


def in_the_checks_of_mount(number: signal.Signals) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start("verify", "--stage", "mount")
        wait_until(lambda: any(site.checks(run, "mount") for run in site.runs() - before), process)
        return site.end_with(process, number)

    return inject


def while_sealing(number: signal.Signals) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start("verify", "--stage", "load")
        run = site.wait_for_log(process, "TASK [Begin stage load]", before)
        large = run / "large"
        large.touch()
        os.truncate(large, SEALED_BYTES)
        wait_until((run / "junit.xml").is_file, process)  # written just before the evidence is sealed
        try:
            return site.end_with(process, number)
        finally:
            large.unlink()

    return inject


def faults() -> Iterator[Fault]:
    """Each signal in each phase. What was judged before the sealing stays judged, and is no evidence unsealed."""
    for number in SIGNALS:
        code = -signal.SIGKILL if number is signal.SIGKILL else 130
        for stage in ("structure", "build", "load", "mkfs"):
            how = f"{number.name} to vexlab when the stage has begun"
            inject = in_a_stage(number, stage)
            yield Fault(f"{number.name} in stage {stage}", how, inject, verdict="not_run", exit_code=code, lab="up")
        how = f"{number.name} to vexlab after the first check of stage mount"
        inject = in_the_checks_of_mount(number)
        yield Fault(f"{number.name} in the checks", how, inject, verdict="not_run", exit_code=code, lab="up")
        how = f"{number.name} to vexlab while it hashes a large file of the run"
        inject = while_sealing(number)
        yield Fault(f"{number.name} while sealing", how, inject, verdict="passed", exit_code=code, lab="up")


FAULTS = tuple(faults())
