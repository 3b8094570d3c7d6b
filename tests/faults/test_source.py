"""The source changes while a run reads it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def edited_while_copied(site: Site) -> Done:
    """Write to one file of the source ten times a second until the stage that copies it has been judged."""
    before = site.runs()
    path = site.source / "kernel" / "super.c"
    process = site.start()
    while process.poll() is None and not any("Begin stage build" in site.log(run) for run in site.runs() - before):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"/* {time.monotonic()} */\n")
        time.sleep(0.1)
    return site.vexlab.finish(process)


FAULTS = (
    Fault(
        "source is edited while it is copied", "a line added to kernel/super.c ten times a second in stage structure",
        edited_while_copied, verdict="failed", exit_code=1, lab="up", says=("the copy differs",),
    ),
)  # fmt: skip
