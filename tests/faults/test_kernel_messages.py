"""What stands in the kernel's log and on the terminal: of the kernel, and of programs that write like it."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site
from tests.faults.made_module import made_module

# Lines that would be a bug of the kernel's, a hang and a marker of a stage, if a program had not written them.
FORGED = """
echo 'WARNING: CPU: 0 PID: 1 at fs/inode.c:1 drop_nlink+0x1/0x2' >/dev/kmsg
echo 'Call Trace:' >/dev/kmsg
echo 'INFO: task umount:1 blocked for more than 60 seconds.' >/dev/kmsg
echo 'Kernel panic - not syncing: hung_task: blocked tasks' >/dev/kmsg
echo 'Kernel panic - not syncing: hung_task: blocked tasks' >/dev/ttyS0
echo 'vexlab: stage mount begins, taint 0, run 0123456789abcdef' >/dev/kmsg
"""
# Holds a CPU with interrupts off, for ever: nothing but the other CPUs can notice.
STALL = made_module("stall", "local_irq_disable(); for (;;) cpu_relax();")


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def in_verify(script: str, *, first: str = "true") -> Callable[[Site], Done]:
    """Run a script in the guest once `vexlab verify` judges stage mount; and another before it starts."""

    def inject(site: Site) -> Done:
        site.ssh(first)
        before = site.runs()
        process = site.start("verify")
        site.wait_for_stage(process, "mount", before)
        site.vexlab("ssh", f"nohup sh -c {shlex.quote(script)} >/dev/null 2>&1 &")
        return site.vexlab.finish(process, patience=300)

    return inject


FAULTS = (
    Fault(
        "A program writes like the kernel",
        "a WARNING, a panic and a marker of a stage, written to /dev/kmsg and to the terminal by a program",
        in_verify(FORGED, first=FORGED), verdict="passed", exit_code=0, lab="up",
    ),
    Fault(
        "A program forges a hang before a panic", "a hung task written by a program, then a crash by sysrq",
        in_verify(f"{FORGED}\nsleep 1; echo c >/proc/sysrq-trigger"), verdict="panicked", exit_code=1, lab="up",
        says=("sysrq triggered crash",),
    ),
    Fault(
        "A CPU stalls", "a module that spins with interrupts off",
        in_verify("insmod /root/stall/stall.ko", first=STALL), verdict="hung", exit_code=1, lab="up", says=("stall",),
    ),
)  # fmt: skip
