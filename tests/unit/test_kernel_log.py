"""The patterns that tell a bug of the kernel from a line of its log. The texts are the kernel's own."""

# ruff: noqa: E501  they are as long as the kernel makes them

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "guest"))

import kernel_log

SPLATS = {
    "null pointer": "BUG: kernel NULL pointer dereference, address: 0000000000000010",
    "bad address": "BUG: unable to handle page fault for address: ffffb0d240e81000",
    "oops, 6.12": "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI",
    "oops, 6.1": "Oops: 0000 [#1] PREEMPT SMP PTI",
    "protection fault, 6.12": (
        "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP NOPTI"
    ),
    "protection fault, 6.1": (
        "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP PTI"
    ),
    "protection fault, 5.10": "general protection fault: 0000 [#1] SMP PTI",
    "BUG()": "kernel BUG at /var/lib/vexlab/build/kernel/vexfs_inode.c:212!",
    "WARN(), 6.12": "WARNING: CPU: 1 PID: 812 at fs/inode.c:407 drop_nlink+0x31/0x40",
    "WARN(), 7.x": "WARNING: fs/inode.c:407 at drop_nlink+0x31/0x40, CPU#1: rm/812",
    "lockdep": "WARNING: possible circular locking dependency detected",
    "rcu usage": "WARNING: suspicious RCU usage",
    "unregistered lock": "INFO: trying to register non-static key.",
    "sleeping": "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:337",
    "atomic": "BUG: scheduling while atomic: mount/901/0x00000002",
    "bad page": "BUG: Bad page state in process mount  pfn:1a2b3",
    "dentry left": "BUG: Dentry 00000000c5a8e0a3{i=2,n=file} still in use (1) [unmount of vexfs loop1]",
    "busy inodes, 6.12": "VFS: Busy inodes after unmount of loop1 (vexfs)",
    "busy inodes, 5.10": "VFS: Busy inodes after unmount of loop1. Self-destruct in 5 seconds.  Have a nice day...",
    "slab objects": "BUG vexfs_inode_cache (Tainted: G           OE     ): Objects remaining in vexfs_inode_cache on __kmem_cache_shutdown()",
    "slab objects, caller": (
        "kmem_cache_destroy vexfs_inode_cache: Slab cache still has objects when called from vexfs_exit+0x1a/0x2f0 [vexfs]"
    ),
    "redzone": "BUG kmalloc-64 (Not tainted): Right Redzone overwritten",
    "separator": "=============================================================================",
    "refcount": "refcount_t: underflow; use-after-free.",
    "list": "list_del corruption. prev->next should be ffff8f0f8a0b8d08, but was dead000000000100.",
    "KASAN": "BUG: KASAN: slab-out-of-bounds in vexfs_readdir+0x1c3/0x3f0 [vexfs]",
    "KFENCE": "BUG: KFENCE: use-after-free read in vexfs_evict_inode+0x3d/0x80 [vexfs]",
    "UBSAN": "UBSAN: array-index-out-of-bounds in /var/lib/vexlab/build/kernel/vexfs_file.c:88:21",
    "kmemleak": "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "hung task": "INFO: task umount:1288 blocked for more than 60 seconds.",
    "soft lockup": "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [mount:943]",
    "hard lockup": "watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "hard lockup, 5.10": "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "rcu stall": "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu stall, own": "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu stall, expedited": "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D } 21 jiffies s: 189 root: 0x2/.",
    "trace": "Call Trace:",
    "panic": "Kernel panic - not syncing: Fatal exception",
}

HARMLESS = {
    "loop device": "loop0: detected capacity change from 0 to 524288",
    "unsigned module": "vexfs: module verification failed: signature and/or required key missing - tainting kernel",
    "out of tree": "vexfs: loading out-of-tree module taints kernel.",
    "refused image": "vexfs: loop1: bad magic 0x00000000",
    "daemon": "systemd[1]: Warning: The unit file changed on disk.",
    "daemon, upper case": "systemd-udevd[213]: loop0: WARNING: failed to get device size",
    "boot": "Warning: unable to open an initial console.",
    "user program": "traps: a.out[771] general protection fault ip:401126 sp:7ffd1c90 error:0 in a.out[401000+1000]",
    "user program, fault": "mkfs.vexfs[901]: segfault at 0 ip 0000000000401136 sp 00007ffe error 4 in mkfs.vexfs[401000+1000]",
    "watchdog enabled": "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
    "mitigation": "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!",
    "debug options": "rcu: \tRCU debug extended QS entry/exit.",
    "KFENCE starts": "kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)-0x(____ptrval____)",
    "marker": "vexlab: stage mount begins, taint 12288",
    "mounted": "EXT4-fs (vda): mounted filesystem 4c4dd8c8-9ad5-4a2b-a8d7-d3bb1d8b2b0e r/w with ordered data mode. Quota mode: none.",
    "I/O error": "Buffer I/O error on dev loop1, logical block 0, async page read",
}


@pytest.mark.parametrize("line", SPLATS.values(), ids=SPLATS.keys())
@pytest.mark.parametrize("stamp", ["[   41.002113] ", "[   41.002113][  T812] ", "[   41.002113] [    C1] ", ""])
def test_splat_is_found(stamp: str, line: str) -> None:
    """Whatever printk puts in front of it; a console without time stamps has nothing there."""
    assert kernel_log.splats([stamp + line]) == [stamp + line]


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless_line_is_left_alone(line: str) -> None:
    """A lab that cries wolf is switched off."""
    assert kernel_log.splats([f"[   41.002113] {line}"]) == []


def test_log_begins_at_the_last_marker() -> None:
    """A stage that was run twice is judged by what happened since it began the last time."""
    log = kernel_log.since_marker(
        [
            "[   10.000000] vexlab: stage mount begins, taint 0",
            "[   11.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010",
            "[   20.000000] vexlab: stage mount begins, taint 12416",
            "[   21.000000] loop0: detected capacity change from 0 to 524288",
        ],
        "mount",
    )
    assert log == kernel_log.StageLog(("[   21.000000] loop0: detected capacity change from 0 to 524288",), 12416)


def test_log_without_marker_is_told_from_an_empty_one() -> None:
    """A ring buffer that was overrun must not look like a quiet kernel."""
    assert kernel_log.since_marker(["[   20.000000] vexlab: stage mkfs begins, taint 0"], "mount") is None
    assert kernel_log.since_marker(["[   20.000000] vexlab: stage mkfs begins, taint 0"], "mkfs") is not None


@pytest.mark.parametrize(
    ("before", "now", "letters"),
    [(0, 1 << 12 | 1 << 13, []), (0, 1 << 7, ["D"]), (0, 1 << 9 | 1 << 12, ["W"]), (1 << 9, 1 << 9, []),
     (0, 1 << 14, ["L"]), (0, 1 << 5, ["B"]), (0, 1 << 1, ["F"]), (0, 1 << 2, ["S"]), (0, 1 << 30, ["30"])],
)  # fmt: skip
def test_taint_is_read(before: int, now: int, letters: list[str]) -> None:
    """O and E are expected of an out-of-tree module, and what an earlier stage broke isn't charged to this one."""
    assert kernel_log.unexpected_taint(before, now) == letters
