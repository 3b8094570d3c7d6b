"""What of a kernel's log belongs to a stage, and what in it is harmless. The table itself: test_kernel_messages.py."""

# ruff: noqa: E501  they are as long as the kernel makes them

from __future__ import annotations

import pytest

from plugins.module_utils import kernel_messages, taint
from plugins.module_utils.last_look import LastLook
from vexlab.guest.testing import kernel_log

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
    "marker": "vexlab: stage mount begins, taint 12288, run 0a1b",
    "program": "(program) WARNING: this is a test",
    "program, block": "(program) mount: attempt to access beyond end of device",
    "mounted": "EXT4-fs (vda): mounted filesystem 4c4dd8c8-9ad5-4a2b-a8d7-d3bb1d8b2b0e r/w with ordered data mode. Quota mode: none.",
    "I/O error": "Buffer I/O error on dev loop1, logical block 0, async page read",
}


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless_line_is_left_alone(line: str) -> None:
    """A lab that cries wolf is switched off."""
    assert kernel_messages.splats([f"[   41.002113] {line}"]) == []


OOM = [
    "[   61.000000] python3 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
    "[   61.000100] Call Trace:",
    "[   61.000900] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task=python3,pid=812,uid=0",
    "[   61.001000] Out of memory: Killed process 812 (python3) total-vm:1925000kB, anon-rss:1801232kB, file-rss:128kB",
]


def test_only_what_damage_makes_ordinary_is_excused() -> None:
    """A device that was cut is read behind its end by whoever looks for that; a bug on the way is a bug."""
    beyond = "[  584.784908] python3: attempt to access beyond end of device"
    lines = [beyond, "[  584.784909] BUG: kernel NULL pointer dereference, address: 0", "[  584.784910] toyfs: refused"]
    assert kernel_log.of_damage(lines) == [beyond]


def test_out_of_memory_is_named_as_that() -> None:
    """The report of the OOM killer has a call trace, and is no bug that the kernel reports."""
    assert kernel_log.judge(OOM, 0, "mount").startswith(f"the guest ran out of memory: {OOM[-1]}")


@pytest.mark.parametrize(
    "line",
    [
        "Memory cgroup out of memory: Killed process 812 (python3) total-vm:1925000kB",  # a limit that somebody set
        "sh: Out of memory: Killed process 812 (python3)",
        "Out of memory: nobody was killed",
    ],
)
def test_what_is_no_want_of_memory(line: str) -> None:
    assert kernel_log.out_of_memory([f"[   61.001000] {line}"]) == []


def test_lost_messages_are_no_quiet_kernel() -> None:
    quiet = ["[   21.000000] loop0: detected capacity change from 0 to 524288"]
    assert kernel_log.judge(quiet, 0, "mount") == ""
    assert kernel_log.judge(quiet, 7, "mount").startswith(
        "7 messages of the kernel were overwritten before they could be read"
    )
    bug = "[   22.000000] BUG: Bad page state in process mount  pfn:1a2b3"
    assert kernel_log.judge([*quiet, bug], 7, "mount") == f"the kernel reported a bug: {bug}"


def test_log_begins_at_the_marker_of_this_run() -> None:
    """A stage that was run twice is judged by what happened since this run began it."""
    log = kernel_log.since_marker(
        [
            "[   10.000000] (program) vexlab: stage mount begins, taint 0, run 0123",
            "[   11.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010",
            "[   20.000000] (program) vexlab: stage mount begins, taint 12416, run 4567",
            "[   21.000000] loop0: detected capacity change from 0 to 524288",
        ],
        "mount",
        "4567",
    )
    assert log == kernel_log.StageLog(("[   21.000000] loop0: detected capacity change from 0 to 524288",), 12416)


QUIET = "[   21.000000] loop0: detected capacity change from 0 to 524288"
LATE = "[   22.000000] WARNING: CPU: 1 PID: 12 at toyfs/late.c:12 toyfs_work+0x10/0x20 [toyfs]"
MARKER = "[   23.000000] (program) vexlab: stage mount begins, taint 12800, run 4567"
LAST = LastLook("load", QUIET, 12288)


def test_what_comes_between_two_stages_is_seen_by_one_of_them() -> None:
    """Work that a module left for later is done when the checks of its stage have looked."""
    log = kernel_log.since_marker([QUIET, LATE, MARKER], "mount", "4567", LAST)
    assert log == kernel_log.StageLog((), 12288, (LATE,), "load")
    assert (
        kernel_log.judge_all(log, 0, "mount", ())
        == f"after the checks of stage load, the kernel reported a bug: {LATE}"
    )


def test_what_checks_saw_is_not_seen_again() -> None:
    """Nor what was there before, in a guest that the last look was not at."""
    log = kernel_log.since_marker([LATE, QUIET, MARKER], "mount", "4567", LAST)
    assert log == kernel_log.StageLog((), 12288, (), "load")
    assert kernel_log.judge_all(log, 0, "mount", ()) == ""
    other = kernel_log.since_marker([LATE, MARKER], "mount", "4567", LAST)
    assert other == kernel_log.StageLog((), 12800)


def test_what_came_late_is_told_with_what_came_in_time() -> None:
    own = LATE.replace("22.0", "24.0")
    log = kernel_log.since_marker([QUIET, LATE, MARKER, own], "mount", "4567", LAST)
    assert log is not None
    wrong = kernel_log.judge_all(log, 0, "mount", ())
    assert wrong == f"after the checks of stage load, {_reported(LATE)}; then {_reported(own)}"
    assert kernel_log.judge_all(log, 0, "mount", {own}) == f"after the checks of stage load, {_reported(LATE)}"


def _reported(line: str) -> str:
    return f"the kernel reported a bug: {line}"


@pytest.mark.parametrize(
    "forged",
    [
        "vexlab: stage mount begins, taint 0, run 4568",
        "vexlab: stage mount begins, taint 0",
        "vexlab: stage mount begins, taint 0, run 4567",
    ],
    ids=["made up", "of a former version", "repeated"],
)
def test_marker_of_a_program_hides_nothing(forged: str) -> None:
    """Who repeats the word has read it in the log, and comes after the marker."""
    bug = "[   11.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010"
    marker = "[   10.000000] (program) vexlab: stage mount begins, taint 7, run 4567"
    log = kernel_log.since_marker([marker, bug, f"[   12.000000] (program) {forged}"], "mount", "4567")
    assert log is not None
    assert (log.taint_before, log.lines[0]) == (7, bug)


def test_log_without_marker_is_told_from_an_empty_one() -> None:
    """A ring buffer that was overrun must not look like a quiet kernel."""
    line = "[   20.000000] (program) vexlab: stage mkfs begins, taint 0, run 4567"
    assert kernel_log.since_marker([line], "mount", "4567") is None
    assert kernel_log.since_marker([line], "mkfs", "") is None
    assert kernel_log.since_marker([line], "mkfs", "4567") is not None


@pytest.mark.parametrize(
    ("before", "now", "letters"),
    [(0, 1 << 12 | 1 << 13, []), (0, 1 << 7, ["D"]), (0, 1 << 9 | 1 << 12, ["W"]), (1 << 9, 1 << 9, []),
     (0, 1 << 14, ["L"]), (0, 1 << 5, ["B"]), (0, 1 << 1, ["F"]), (0, 1 << 2, ["S"]), (0, 1 << 30, ["30"])],
)  # fmt: skip
def test_taint_is_read(before: int, now: int, letters: list[str]) -> None:
    """O and E are expected of an out-of-tree module, and what an earlier stage broke isn't charged to this one."""
    assert taint.unexpected(before, now) == letters


def test_taint_that_the_target_names_is_no_alarm_and_hides_no_other() -> None:
    now = 1 << 10 | 1 << 7 | 1 << 12
    assert taint.unexpected(0, now) == ["D", "C"]
    assert taint.unexpected(0, now, ["C"]) == ["D"]


def test_judged_report_says_whose_memory_it_was() -> None:
    """In one line, without what only draws a frame around it."""
    lines = [
        "=============================================================================",
        "BUG kmalloc-64 (Tainted: G           OE     ): Right Redzone overwritten",
        "-----------------------------------------------------------------------------",
        "Allocated in toyfs_open+0x2a/0x90 [toyfs] age=12 cpu=0 pid=812",
        "Call Trace:",
    ]
    judged = kernel_log.judge([f"[   41.002113] {line}" for line in lines], 0, "mount")
    assert judged == (
        "the kernel reported a bug: [   41.002113] BUG kmalloc-64 (Tainted: G           OE     ): Right Redzone "
        "overwritten; allocated by toyfs_open+0x2a/0x90 [toyfs]"
    )
