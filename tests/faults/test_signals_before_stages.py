"""Signals to vexlab while it looks for the image and while the guest starts: nothing is left, and no guest is up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def in_the_image(number: signal.Signals) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start()
        site.wait_for_log(process, "TASK [vexfs.vexlab.vexlab_image : ", before)
        return site.end_with(process, number)

    return inject


def at_guest_start(number: signal.Signals) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        process = site.start()
        site.wait_for_guest(process)
        return site.end_with(process, number)

    return inject


def faults() -> Iterator[Fault]:
    """Each signal in each of the two phases; only SIGKILL can't be answered."""
    for number in SIGNALS:
        code = -signal.SIGKILL if number is signal.SIGKILL else 130
        for phase, said, inject in (
            ("the look at the image", "role vexlab_image runs", in_the_image(number)),
            ("guest start", "QEMU runs and the guest is not ready", at_guest_start(number)),
        ):
            in_test = (number, phase) == (signal.SIGTERM, "guest start")
            how = f"{number.name} to vexlab when {said}"
            yield Fault(f"{number.name} at {phase}", how, inject, verdict="not_run", exit_code=code, in_test=in_test)


FAULTS = tuple(faults())
