"""What the kernel's log and its taint flags say about a stage."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from plugins.module_utils import kernel_messages
from plugins.module_utils.last_look import LastLook

# What of level warning or worse says something of a slow machine or of any such module, and nothing of the filesystem.
# What the kernel says of a filesystem whose times end in 2038 is its limit, and no complaint.
# A rate limit says at this level that it suppressed something, of whatever level; the first ten were not suppressed.
OF_THE_MACHINE = re.compile(
    r"^(?:clocksource: |hrtimer: interrupt took |perf: interrupt took |workqueue: \S+ hogged CPU |"
    r"sched: RT throttling |TSC |\S+ filesystem being (?:re)?mounted at .* supports timestamps until |"
    r".*: \d+ callbacks suppressed$|"
    r"\S+: loading out-of-tree module taints kernel|\S+: module verification failed: |"
    r"\S+: module license '.*' taints kernel|Disabling lock debugging due to kernel taint)"
)

# What the OOM killer says when all of the machine's memory is used up; a limit that somebody set is his own affair.
OUT_OF_MEMORY = re.compile(r"^Out of memory(?: \(oom_kill_allocating_task\))?: Kill(?:ed)? process \d+ ")


@dataclass(frozen=True)
class StageLog:
    """The kernel's messages since a stage began, and the taint flags that the kernel had then.

    `between` are those that came before, and after the checks of stage `before` had looked; no other checks see them.
    """

    lines: tuple[str, ...]
    taint_before: int
    between: tuple[str, ...] = ()
    before: str = ""


def since_marker(lines: list[str], stage: str, token: str, last: LastLook | None = None) -> StageLog | None:
    """What follows the marker that a stage of this run began with; None when the log holds no such marker.

    `last` is the look of the stage before. If the log doesn't hold its line, it was at another guest.
    """
    found = kernel_messages.begin_of([kernel_messages.without_stamp(line) for line in lines], stage, token)
    if found is None:
        return None
    marker, taint = found
    own = tuple(lines[marker + 1 :])
    if last is None or last.line not in lines[:marker]:
        return StageLog(own, taint)
    return StageLog(own, last.taint, tuple(lines[lines.index(last.line) + 1 : marker]), last.stage)


def of_damage(lines: Sequence[str]) -> list[str]:
    """The lines that only damage of a device makes ordinary, as they stand in the log."""
    always = kernel_messages.splats(lines, blocks=False)
    return [line for line in kernel_messages.splats(lines) if line not in always]


def out_of_memory(lines: Sequence[str]) -> list[str]:
    """The lines with which the kernel tells whom it killed for want of memory, as they stand in the log."""
    return [line for line in lines if OUT_OF_MEMORY.match(kernel_messages.without_stamp(line))]


def judge(lines: Sequence[str], lost: int, stage: str) -> str:
    """What is wrong with a stage's messages of the kernel, of which so many more were lost; empty when nothing is.

    Damage of a device makes some ordinary in stage `errors`.
    """
    if killed := out_of_memory(lines):  # its report has a call trace, and is no bug
        return "the guest ran out of memory: " + " / ".join(killed[:5])
    if bug := kernel_messages.bug_told(lines, blocks=stage != "errors"):
        return bug
    if lost:
        return f"{lost} messages of the kernel were overwritten before they could be read; one may have told of a bug"
    return ""


def judge_all(log: StageLog, lost: int, stage: str, excused: Collection[str]) -> str:
    """What is wrong with the messages of a stage, or with those between it and the stage before."""
    late = judge(log.between, 0, log.before)
    wrong = judge([line for line in log.lines if line not in excused], lost, stage)
    return "; then ".join(filter(None, (late and f"after the checks of stage {log.before}, {late}", wrong)))


def complaints(warnings: list[str]) -> list[str]:
    """Of lines of level warning or worse, those that may be about the filesystem."""
    return [line for line in warnings if not OF_THE_MACHINE.match(kernel_messages.without_stamp(line))]
