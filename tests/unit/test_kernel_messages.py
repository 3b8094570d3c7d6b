"""The table of kernel messages, through both readers: the judges' (splats) and the one that explains a death."""

from __future__ import annotations

import pytest

from plugins.module_utils import kernel_messages
from plugins.module_utils.kernel_messages import (
    HANGS,
    HARD_LOCKUP,
    HUNG_TASK,
    OOPS,
    RCU_STALL,
    REASON,
    REPORTS,
    SOFT_LOCKUP,
    STUCK,
    TABLE,
    WARNING,
    Message,
)  # fmt: skip
from tests.unit.kernel_samples import MORE, SAMPLES

MESSAGES = {message.name: message for message in TABLE}
LINES = [(name, line) for name, (sample, _) in SAMPLES.items() for line in (sample, *MORE.get(name, []))]
FRAME = "RIP: 0010:toyfs_fill_super+0x4a/0x9b0 [toyfs]"
PANICS = {
    OOPS: "Fatal exception",
    WARNING: "kernel: panic_on_warn set ...",
    HUNG_TASK: "hung_task: blocked tasks",
    SOFT_LOCKUP: "softlockup: hung tasks",
    HARD_LOCKUP: "Hard LOCKUP",
    RCU_STALL: "RCU Stall",
}
# What a console has before the kernel's words, each seen on one.
PREFIXES = {
    "nothing": "",
    "level": "<4>",
    "prompt and level": "vexlab login: <6>",
    "prompt": "vexlab login: ",
    "half a line": "writing 4096 byt",
    "dropped": "** 12 printk messages dropped ** ",
    "terminal": "\x1b[!p\x1b]104\x07\x1b[?7h",
}
STAMPS = {"plain": "[   41.002113] ", "thread": "[   41.002113][  T812] ", "CPU": "[   41.002113] [    C1] ",
          "number": "[   41.002113] (3) "}  # fmt: skip


def console(*lines: str) -> list[str | None]:
    """The kernel's texts of a console, each line of which has the kernel's stamp."""
    return [kernel_messages.text_of(f"[   41.{index:06d}] {line}") for index, line in enumerate(lines)]


def death(head: str, panic: str, *before: str) -> str:
    """What is said of a kernel that reports something, names a function and panics."""
    cause = kernel_messages.explain(console(*before, head, FRAME, f"Kernel panic - not syncing: {panic}"))
    assert cause is not None
    return cause.said


def test_each_entry_has_samples() -> None:
    assert list(SAMPLES) == list(dict.fromkeys(SAMPLES))
    assert set(SAMPLES) == set(MESSAGES)
    assert set(MORE) <= set(SAMPLES)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_line_is_what_its_entry_means(name: str, line: str) -> None:
    assert kernel_messages.meaning(line) == MESSAGES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_near_miss_is_not_what_the_entry_means(name: str) -> None:
    """A lab that cries wolf is switched off."""
    near = SAMPLES[name][1]
    assert kernel_messages.meaning(near) != MESSAGES[name]
    if MESSAGES[name].judged:
        assert kernel_messages.splats([f"[   41.002113] {near}"]) == []


@pytest.mark.parametrize("stamp", STAMPS.values(), ids=STAMPS)
@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("name", SAMPLES)
def test_judges_find_it_behind_whatever_is_before_it(name: str, prefix: str, stamp: str) -> None:
    """The kernel's text begins at its stamp, wherever that is on the line."""
    line = f"{prefix}{stamp}{SAMPLES[name][0]}"
    assert kernel_messages.splats([line]) == ([line] if MESSAGES[name].judged else [])
    assert kernel_messages.text_of(line) == SAMPLES[name][0].rstrip()


@pytest.mark.parametrize(
    ("message", "line"), [(MESSAGES[name], line) for name, line in LINES if MESSAGES[name].kind in PANICS]
)
def test_death_is_explained_by_it(message: Message, line: str) -> None:
    """By the report of the class that the panic's words name, with the function from its own lines."""
    said = death(line, PANICS[message.kind])
    assert said.startswith(line)
    assert "in toyfs_fill_super+0x4a/0x9b0 [toyfs]" in said


@pytest.mark.parametrize(
    "name", [name for name, message in MESSAGES.items() if message.kind not in (*REPORTS, "panic")]
)
def test_what_is_no_report_explains_no_death(name: str) -> None:
    assert kernel_messages.explain(console(SAMPLES[name][0], FRAME), hangs=True) is None
    said = death(SAMPLES[name][0], "sysrq triggered crash")
    assert said == "Kernel panic - not syncing: sysrq triggered crash"


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if message.kind == REASON])
def test_why_stands_above_the_report(name: str) -> None:
    why = SAMPLES[name][0]
    said = death("kernel BUG at lib/list_debug.c:62!", "Fatal exception", why, "------------[ cut here ]------------")
    assert said.startswith(f"{why.rstrip('.')}: kernel BUG at lib/list_debug.c:62! in toyfs_fill_super")


@pytest.mark.parametrize("kind", [kind for kind in HANGS if kind != STUCK])
def test_panic_of_a_lockup_is_a_hang(kind: str) -> None:
    name = next(message.name for message in TABLE if message.kind == kind)
    cause = kernel_messages.explain(console(SAMPLES[name][0], f"Kernel panic - not syncing: {PANICS[kind]}"))
    assert cause is not None
    assert cause.hangs


@pytest.mark.parametrize("name", ["WARN()", "BUG", "hung task", "UBSAN"])
def test_what_was_survived_is_no_cause_and_is_told(name: str) -> None:
    """Neither is its function, nor does it make a hang of a panic."""
    head = SAMPLES[name][0]
    before = [head, "RIP: 0010:innocent+0x1/0x2 [toyfs]", "---[ end trace 0000000000000000 ]---"]
    texts = console(
        *before,
        "BUG: kernel NULL pointer dereference, address: 0",
        FRAME,
        "Kernel panic - not syncing: Fatal exception",
    )
    cause = kernel_messages.explain(texts)
    assert cause is not None
    assert not cause.hangs
    assert cause.said == (
        f"BUG: kernel NULL pointer dereference, address: 0 in toyfs_fill_super+0x4a/0x9b0 [toyfs]; before that: {head}"
    )


def test_panic_of_its_own_words_has_no_function_of_an_earlier_report() -> None:
    said = death("WARNING: CPU: 1 PID: 812 at fs/inode.c:407 drop_nlink+0x31/0x40", "sysrq triggered crash")
    assert said == (
        "Kernel panic - not syncing: sysrq triggered crash; "
        "before that: WARNING: CPU: 1 PID: 812 at fs/inode.c:407 drop_nlink+0x31/0x40"
    )


def test_lines_of_one_oops_are_one_report() -> None:
    texts = console(
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "#PF: supervisor write access in kernel mode",
        "#PF: error_code(0x0002) - not-present page",
        "Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "RIP: 0010:first+0x1/0x2 [toyfs]",
        "Call Trace:",
        " ? guess+0x3/0x4 [toyfs]",
        "RIP: 0033:0x7f4c1b71d88a",
        "Kernel panic - not syncing: Fatal exception",
    )
    [oops, panic] = kernel_messages.reports(texts)
    assert (oops.first, oops.end, panic.first) == (0, 8, 8)
    assert oops.function == "first+0x1/0x2 [toyfs]"


@pytest.mark.parametrize(
    "head",
    [
        ["FAULT_INJECTION: forcing a failure.", "name failslab, interval 1, probability 0, space 0, times 0"],
        ["mount: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)"],
        ["fio invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0"],
        ["BUG: MAX_LOCKDEP_CHAINS too low!", "turning off the locking correctness validator."],
    ],
    ids=["injected", "allocation", "out of memory", "lockdep is full"],
)
def test_trace_of_what_is_no_bug_is_none(head: list[str]) -> None:
    machine = ["CPU: 0 UID: 0 PID: 9 Comm: fio", "Hardware name: QEMU Standard PC", "Call Trace:", " <TASK>"]
    assert kernel_messages.splats([f"[   41.002113] {line}" for line in [*head, *machine]]) == []
    bare = [f"[   41.002113] {line}" for line in ["toyfs: something odd", *machine]]
    assert kernel_messages.splats(bare) == ["[   41.002113] Call Trace:"]


def test_blocks_are_ordinary_where_damage_is_done() -> None:
    lines = [f"[   41.002113] {SAMPLES[name][0]}" for name, message in MESSAGES.items() if message.kind == "blocks"]
    assert kernel_messages.splats(lines) == lines
    assert kernel_messages.splats(lines, blocks=False) == []


@pytest.mark.parametrize("line", ["[   41.002113] (program) WARNING: x", "[   41.002113] (program) Call Trace:"])
def test_program_that_writes_to_the_log_reports_no_bug(line: str) -> None:
    assert kernel_messages.splats([line]) == []


def test_program_is_told_from_the_kernel_by_the_facility() -> None:
    line = "login: <12>[   41.002113] WARNING: x"
    assert kernel_messages.text_of(line) == "(program) WARNING: x"
    assert kernel_messages.stamped(line) == "[   41.002113] (program) WARNING: x"
    assert kernel_messages.splats([line]) == []
    assert kernel_messages.stamped("login: <6>[   41.002113] loop0: x") == "[   41.002113] loop0: x"


def test_boot_sees_a_panic_behind_a_prompt() -> None:
    assert kernel_messages.panicked(
        "x\nlogin: [    2.000000] Kernel panic - not syncing: VFS: Unable to mount root fs\n"
    )
    assert not kernel_messages.panicked("Kernel panic - not syncing: says a program\n")


OF_SLUB = [
    "BUG vexfs_thing (Tainted: G           OE     ): Poison overwritten",
    "-----------------------------------------------------------------------------",
    "0xffff8b1d01a2c310-0xffff8b1d01a2c317 @offset=784. First byte 0x1 instead of 0x6b",
    "Allocated in toyfs_open+0x2a/0x90 [toyfs] age=12 cpu=0 pid=812",
    " __kmalloc_cache_noprof+0x1a3/0x2c0",
    " toyfs_open+0x2a/0x90 [toyfs]",
    "Freed in toyfs_release+0x15/0x30 [toyfs] age=3 cpu=0 pid=812",
    " kfree+0x1d5/0x2f0",
    "Slab 0xfffff0c080068b00 objects=21 used=3 fp=0xffff8b1d01a2c310 flags=0x17ffffc0000200",
    "Object 0xffff8b1d01a2c310 @offset=784 fp=0x0000000000000000",
    "Call Trace:",
    " check_bytes_and_report+0x10c/0x150",
    " innocent+0x11/0x20 [other]",
    "FIX vexfs_thing: Restoring Poison 0xffff8b1d01a2c310-0xffff8b1d01a2c317=0x6b",
]
OF_KFENCE = [
    "BUG: KFENCE: use-after-free read in toyfs_read+0x1c/0x40 [toyfs]",
    "Use-after-free read at 0x00000000a1b2c3d4 (in kfence-#31):",
    " toyfs_read+0x1c/0x40 [toyfs]",
    "kfence-#31: 0x0000000012345678-0x00000000abcdef01, size=32, cache=kmalloc-32",
    "allocated by task 812 on cpu 0 at 52.118262s (0.022s ago):",
    " toyfs_open+0x2a/0x90 [toyfs]",
    "freed by task 813 on cpu 0 at 52.119262s (0.021s ago):",
    " ? guess+0x1/0x2 [toyfs]",
    " toyfs_release+0x15/0x30 [toyfs]",
    "CPU: 0 UID: 0 PID: 814 Comm: cat Tainted: G    B      OE",
]
OF_WARN = [
    "WARNING: CPU: 1 PID: 812 at fs/inode.c:407 drop_nlink+0x31/0x40",
    "RIP: 0010:drop_nlink+0x31/0x40",
    "Call Trace:",
    " ? guess+0x1/0x2 [toyfs]",
    " toyfs_unlink+0x31/0x70 [toyfs]",
]
OWNERS = "allocated by toyfs_open+0x2a/0x90 [toyfs], freed by toyfs_release+0x15/0x30 [toyfs]"


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (OF_SLUB, OWNERS),
        (OF_KFENCE, OWNERS),
        (OF_SLUB[:3] + OF_SLUB[8:], "under innocent+0x11/0x20 [other]"),
        (OF_WARN, "under toyfs_unlink+0x31/0x70 [toyfs]"),
        (OF_KFENCE[:3], ""),  # its first line says it already
        (OF_WARN[:4], ""),
    ],
)
def test_functions_that_a_report_is_about(lines: list[str], where: str) -> None:
    """Who found it is told only where nothing says whose memory it was."""
    assert [report.where for report in kernel_messages.reports(console(*lines))] == [where]
