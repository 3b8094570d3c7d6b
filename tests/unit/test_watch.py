"""The first cause, from what a kernel really writes to its console when it dies."""

from __future__ import annotations

import pytest

from vexlab.results import Verdict
from vexlab.watch import Death, explain_console

NULL_POINTER = """\
[   83.101010] loop0: detected capacity change from 0 to 131072
[   83.120001] BUG: kernel NULL pointer dereference, address: 0000000000000000
[   83.120502] #PF: supervisor write access in kernel mode
[   83.121010] #PF: error_code(0x0002) - not-present page
[   83.122000] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI
[   83.123000] CPU: 1 UID: 0 PID: 812 Comm: mount Tainted: G           OE      6.12.117+deb13-amd64 #1
[   83.124000] RIP: 0010:vexfs_fill_super+0x4a/0x9b0 [vexfs]
[   83.125000] Call Trace:
[   83.129000] RIP: 0033:0x7f4c1b71d88a
[   83.140000] Kernel panic - not syncing: Fatal exception
"""
HUNG_TASK = """\
[  243.910000] INFO: task umount:1034 blocked for more than 60 seconds.
[  243.911000]       Tainted: G           OE      6.12.117+deb13-amd64 #1 Debian 6.12.117-1
[  243.920000] Kernel panic - not syncing: hung_task: blocked tasks
"""
SOFT_LOCKUP = """\
[  140.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [ls:992]
[  140.001000] RIP: 0010:vexfs_readdir+0x10/0x200 [vexfs]
[  140.002000] Kernel panic - not syncing: softlockup: hung tasks
"""
UNKILLABLE = """\
[  213.655328] vexlab: SIGKILL does not end umount (process 974, state D) in toyfs_put_super+0x3e/0x140 [toyfs]
[  213.900000] sysrq: Show Blocked State
"""
BUG = """\
[   61.000000][  T755] kernel BUG at fs/inode.c:1835!\r
[   61.000001][  T755] Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI\r
[   61.000100][  T755] RIP: 0010:iput+0x1f0/0x200\r
"""
SYSRQ = "[   41.200000] sysrq: Trigger a crash\n[   41.200100] Kernel panic - not syncing: sysrq triggered crash\n"


@pytest.mark.parametrize(
    ("console", "verdict", "reason"),
    [
        (
            NULL_POINTER, Verdict.PANICKED,
            "BUG: kernel NULL pointer dereference, address: 0000000000000000 in vexfs_fill_super+0x4a/0x9b0 [vexfs]",
        ),
        (HUNG_TASK, Verdict.HUNG, "INFO: task umount:1034 blocked for more than 60 seconds."),
        (
            SOFT_LOCKUP, Verdict.HUNG,
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [ls:992] in vexfs_readdir+0x10/0x200 [vexfs]",
        ),
        (BUG, Verdict.PANICKED, "kernel BUG at fs/inode.c:1835! in iput+0x1f0/0x200"),
        (SYSRQ, Verdict.PANICKED, "Kernel panic - not syncing: sysrq triggered crash"),
    ],
    ids=["null pointer", "hung task", "soft lockup", "BUG", "panic"],
)  # fmt: skip
def test_first_cause_is_named(console: str, verdict: Verdict, reason: str) -> None:
    death = explain_console(console, Verdict.PANICKED, "the guest's kernel panicked")
    assert (death.verdict, death.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("console", "cause"),
    [
        (UNKILLABLE, UNKILLABLE.splitlines()[0].partition("] ")[2]),
        (HUNG_TASK.splitlines()[0], "INFO: task umount:1034"),
    ],
    ids=["stuck process", "hung task"],
)
def test_deadline_stays_in_the_reason(console: str, cause: str) -> None:
    otherwise = "the stage did not end within its deadline of 900 s"
    death = explain_console(console, Verdict.HUNG, otherwise)
    assert death.verdict is Verdict.HUNG
    assert death.reason.startswith(f"{otherwise}: {cause}")


@pytest.mark.parametrize("verdict", [Verdict.LOST, Verdict.PANICKED])
def test_program_on_the_terminal_changes_no_verdict(verdict: Verdict) -> None:
    """Without a time stamp it isn't the kernel; with one, what comes after the last panic is only the kernel."""
    faked = "[   50.000000] Kernel panic - not syncing: hung_task: blocked tasks\n" + HUNG_TASK.splitlines()[0]
    death = explain_console(f"{faked}\n{SYSRQ if verdict is Verdict.PANICKED else ''}", verdict, "gone")
    assert death.verdict is verdict
    bare = "INFO: task umount:1034 blocked for more than 60 seconds.\nKernel panic - not syncing: hung_task: x\n"
    assert explain_console(bare, verdict, "gone") == Death(verdict, "gone")


def test_console_without_a_cause_leaves_the_event_to_speak() -> None:
    text = "[    1.000000] systemd[1]: Reached target multi-user.target.\n[    2.0] EXT4-fs error (device vda)\n"
    death = explain_console(text, Verdict.LOST, "QEMU ended")
    assert (death.verdict, death.reason) == (Verdict.LOST, "QEMU ended")
