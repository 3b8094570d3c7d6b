"""What the kernel's log and its taint flags say about a stage."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Lines with which the kernel reports that something went badly wrong. They are matched after the time stamp, from the
# start of the line: a daemon that quotes such words in a message of its own has its name in front of them.
SPLAT = re.compile(
    r"^(?:BUG:|WARNING:|Oops:|Oops |Internal error:|kernel BUG at |Kernel panic|general protection fault|"
    r"KASAN:|KFENCE:|UBSAN:|INFO: task .+ blocked .*for more than|(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected |"
    r"(?:NMI )?watchdog: (?:BUG: |Watchdog detected )|Call Trace:|unregister_netdevice: waiting|"
    r"={20,}\s*$|page dumped because|Unable to handle kernel|INFO: trying to register non-static key|refcount_t: |"
    r"Object (?:already free|not freed)|kmem_cache_destroy .+: Slab cache still has objects|"
    r"BUG .+ \((?:Not tainted|Tainted: )|VFS: Busy inodes after unmount|list_(?:add|del) corruption|"
    r"kmemleak: \d+ new suspected memory leaks|slab .*: use-after-free)"
)

# What of level warning or worse says something of a slow machine or of any such module, and nothing of the filesystem.
# set_capacity_and_notify() rates the notices of loop devices attached in quick succession; those are of level info.
OF_THE_MACHINE = re.compile(
    r"^(?:clocksource: |hrtimer: interrupt took |perf: interrupt took |workqueue: \S+ hogged CPU |"
    r"sched: RT throttling |TSC |set_capacity_and_notify: \d+ callbacks suppressed$|"
    r"\S+: loading out-of-tree module taints kernel|\S+: module verification failed: )"
)

# Bits of /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst). An out-of-tree, unsigned module
# sets O and E by being loaded; a proprietary one would set P, which says nothing about a crash.
EXPECTED_TAINT = {0: "P", 12: "O", 13: "E"}
TAINT = {
    0: "P", 1: "F", 2: "S", 3: "R", 4: "M", 5: "B", 6: "U", 7: "D", 8: "A", 9: "W", 10: "C", 11: "I", 12: "O", 13: "E",
    14: "L", 15: "K", 16: "X", 17: "T", 18: "N",
}  # fmt: skip


@dataclass(frozen=True)
class StageLog:
    """The kernel's messages since a stage began, and the taint flags that the kernel had then."""

    lines: tuple[str, ...]
    taint_before: int


def without_time(line: str) -> str:
    """A line of dmesg without its `[   12.345678] ` and, where printk adds it, its caller `[T123]`."""
    return re.sub(r"^\[\s*\d+\.\d+\](?: ?\[\s*[CT]\d+\])? ?", "", line)


def since_marker(lines: list[str], stage: str) -> StageLog | None:
    """What follows the last marker of the stage; None when the log holds no such marker."""
    pattern = re.compile(rf"vexlab: stage {re.escape(stage)} begins, taint (\d+)$")
    for index in range(len(lines) - 1, -1, -1):
        found = pattern.search(lines[index].rstrip())
        if found:
            return StageLog(tuple(lines[index + 1 :]), int(found[1]))
    return None


def splats(lines: tuple[str, ...] | list[str]) -> list[str]:
    """The lines that report a bug of the kernel, as they stand in the log."""
    return [line for line in lines if SPLAT.match(without_time(line))]


def complaints(warnings: list[str]) -> list[str]:
    """Of lines of level warning or worse, those that may be about the filesystem."""
    return [line for line in warnings if not OF_THE_MACHINE.match(without_time(line))]


def unexpected_taint(before: int, now: int) -> list[str]:
    """Letters of the taint flags that were set meanwhile and that loading an out-of-tree module doesn't explain."""
    new = now & ~before
    return [TAINT.get(bit, str(bit)) for bit in range(new.bit_length()) if new >> bit & 1 and bit not in EXPECTED_TAINT]
