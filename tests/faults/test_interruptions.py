"""Signals to vexlab itself, in each phase of a run."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def while_the_guest_starts(number: signal.Signals) -> Callable[[Site], Done]:
    """Send vexlab a signal while its guest boots or is restored."""

    def inject(site: Site) -> Done:
        process = site.start()
        site.wait_for_guest(process)
        return site.end_with(process, number)

    return inject


FAULTS = (
    Fault(
        "SIGTERM at guest start", "SIGTERM to vexlab while the guest starts", while_the_guest_starts(signal.SIGTERM),
        verdict="not_run", exit_code=130, in_test=True,
    ),
)  # fmt: skip
