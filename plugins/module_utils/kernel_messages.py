"""THE home of what a kernel message means: for the watch, the forensics, the judges and whoever waits for a boot.

Standard library only. Two readers stand on one table: `splats` finds the lines that say that something is broken, and
`explain` finds why a kernel died. A line is the kernel's from its time stamp on, wherever that is: what is before it
was there already, half a line of a program or of a login prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CONTROL = re.compile(r"\x1b\[[0-9;?!]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)|\x1b[@-Z\\^_cMN78=>]|\r")
"""What terminals take for commands, and a serial console is full of."""
STAMP = re.compile(r"\[\s*\d+\.\d+\](?: ?\[\s*[CT]\d+\])?(?: \(\d+\))? ?")
"""The time that printk puts before each line and, where it is configured so, its caller."""
_PRIORITY = re.compile(r"<(\d+)>$")
"""What is before the stamp with console_msg_format=syslog: facility times 8 and level. The kernel's facility is 0."""
PROGRAM = "(program) "
"""What is put before a line of the log that a program wrote, and not the kernel."""

# What a message is about. Those of one class are told apart by nobody who reads the words of a panic.
OOPS, WARNING, HUNG_TASK, SOFT_LOCKUP = "oops", "warning", "hung task", "soft lockup"
HARD_LOCKUP, RCU_STALL, STUCK = "hard lockup", "RCU stall", "stuck process"
PANIC, REASON, COMPLAINT, BLOCKS, TRACE = "panic", "reason", "complaint", "blocks", "trace"
HANGS = (HUNG_TASK, SOFT_LOCKUP, HARD_LOCKUP, RCU_STALL, STUCK)
REPORTS = (OOPS, WARNING, *HANGS)


@dataclass(frozen=True)
class Message:
    """A kind of message: its name, a pattern for the beginning of its text, and the class that it is of.

    `program`: it is what our own program in the guest writes there. `judged`: a check during which it comes has failed.
    Those of class `reason` say why a report follows; those of class `blocks` are what damaged filesystems and failing
    disks make ordinary.
    """

    name: str
    pattern: str
    kind: str
    judged: bool = True
    program: bool = False


TABLE = (
    Message("null pointer", r"BUG: kernel NULL pointer dereference", OOPS),
    Message("bad address", r"BUG: unable to handle (?:page fault|kernel)", OOPS),
    Message("bad address, arm64", r"Unable to handle kernel ", OOPS),
    Message("BUG()", r"kernel BUG at ", OOPS),
    Message("oops", r"Oops(?: -|:| )", OOPS),
    Message("internal error", r"Internal error: ", OOPS),
    Message("protection fault", r"general protection fault(?:,|:| )", OOPS),
    Message("divide error", r"divide error: \d{4} \[#\d", OOPS),
    Message("invalid opcode", r"invalid opcode: \d{4} \[#\d", OOPS),
    Message("breakpoint", r"int3: \d{4} \[#\d", OOPS),
    Message("stack overflow", r"BUG: (?:TASK|IRQ) stack guard page was hit|stack guard page was hit at", OOPS),
    Message("KASAN", r"(?:BUG: )?KASAN: ", WARNING),
    Message("KFENCE", r"(?:BUG: )?KFENCE: ", WARNING),
    Message("lockdep is full", r"BUG: MAX_\w+ too low", TRACE, judged=False),
    Message("slab", r"BUG .+ \((?:Not tainted|Tainted: )", WARNING),
    Message("freed page", r"pagealloc: (?:memory corruption|single bit error)", WARNING),
    Message("BUG", r"BUG: ", WARNING),
    Message("console font", r"WARNING: fbcon: ", TRACE, judged=False),
    Message("WARN()", r"WARNING: \S", WARNING),
    Message("UBSAN", r"UBSAN: ", WARNING),
    Message("unregistered lock", r"INFO: trying to register non-static key", WARNING),
    Message("hung task", r"INFO: task .+ blocked (?:in I/O wait )?for more than ", HUNG_TASK),
    Message("RCU stall", r"(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls? on ", RCU_STALL),
    Message("soft lockup", r"watchdog: BUG: soft lockup ", SOFT_LOCKUP),
    Message(
        "hard lockup",
        r"(?:NMI )?watchdog: (?:Watchdog detected hard|CPU\d+: Watchdog detected hard) LOCKUP ",
        HARD_LOCKUP,
    ),
    Message("stuck process", r"vexlab: SIGKILL does not end ", STUCK, judged=False, program=True),
    Message("panic", r"Kernel panic - not syncing: ", PANIC),
    Message("busy inodes", r"VFS: Busy inodes after unmount", REASON),
    Message("list", r"list_(?:add|del) corruption", REASON),
    Message("usercopy", r"usercopy: Kernel memory (?:exposure|overwrite) attempt", REASON),
    Message("refcount", r"refcount_t: ", REASON),
    Message("slab objects", r"kmem_cache_destroy .+: Slab cache still has objects", REASON),
    Message("page dumped", r"page dumped because", REASON),
    Message("free object", r"Object (?:already free|not freed)|slab .*: use-after-free", REASON),
    Message("kmemleak", r"kmemleak: \d+ new suspected memory leaks", COMPLAINT),
    Message("device held", r"unregister_netdevice: waiting", COMPLAINT),
    Message("page cache", r"Page cache invalidation failure on direct I/O", COMPLAINT),
    Message("direct I/O", r"Direct I/O collision with buffered writes", COMPLAINT),
    Message("leaked locks", r"Leaked (?:\w+ )?locks? on dev=", COMPLAINT),
    Message("loop of directories", r"VFS: Lookup of .+ would have caused loop", BLOCKS),
    Message("freeze", r"VFS: ?Filesystem (?:freeze|thaw) failed", COMPLAINT),
    Message("name exists", r"kobject: .+ failed for .+ with -EEXIST", COMPLAINT),
    Message("exit", r"note: .+\[\d+\] exited with (?:irqs disabled|preempt_count )", COMPLAINT),
    Message("beyond the end", r".*\battempt to access beyond end of device", BLOCKS),
    Message("out-of-range block", r"\w+: requested out-of-range block ", BLOCKS),
    Message("size of a block", r"getblk\(\): invalid block size ", BLOCKS),
    Message("separator", r"={20,}\s*$", TRACE),
    Message("trace", r"Call [Tt]race:", TRACE),
)
_PATTERNS = [(message, re.compile(message.pattern)) for message in TABLE]

# What a panic says of the report that led to it: the first that fits. A panic of any other words is its own cause.
PANICS = (
    (r"hung_task: ", (HUNG_TASK,)),
    (r"softlockup: ", (SOFT_LOCKUP,)),
    (r"(?:Hard LOCKUP|hard lockup)", (HARD_LOCKUP,)),
    (r"RCU Stall", (RCU_STALL,)),
    (r".*(?:panic_on_warn|kasan\.fault=panic) set", (WARNING,)),
    (r"Fatal exception|Attempted to kill|Aiee, killing interrupt handler|Oops", (OOPS,)),
)
# Lines between a report's first one and its trace; and the heads of traces that report no bug.
_BETWEEN = re.compile(
    r"(?:CPU|PID|Hardware name|Tainted|Workqueue|name \w+|.*nodemask|cpuset)\b|<TASK>|\[#\d|#PF|PGD |-{4,}"
)
_HARMLESS_TRACE = re.compile(
    r"FAULT_INJECTION: forcing a failure|.*\bpage allocation (?:failure|stalls)|.*\binvoked oom-killer|warn_alloc|"
    r"turning off the locking correctness validator|sysrq: |task:|Sending NMI|NMI backtrace|Showing |WARNING: fbcon: "
)
_FUNCTION = re.compile(r"\b(?:RIP: 0010:|pc : )(?P<function>[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[[\w-]+\])?)")
_FRAME = re.compile(r"[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+ \[[\w-]+\]")  # of a module
# Who had the memory that a report is about: as SLUB says it, and as KFENCE and KASAN do; the traces follow.
_OWNER = re.compile(r"\s*(?:(Allocated|Freed) (?:in|by) |(allocated|freed) by )", re.IGNORECASE)
_NO_OWNER = re.compile(r"(?:Call Trace|CPU: |Slab 0x|Object )")
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
CUT = re.compile(r"-+\[ cut here \]-+|={20,}")


def text_of(line: str) -> str | None:
    """A line of a console from the kernel's stamp on, without it; None when it has none, and is not the kernel's.

    What a program wrote to the kernel's log has the stamp too, and PROGRAM before it.
    """
    clean = CONTROL.sub("", line)
    stamp = STAMP.search(clean)
    if stamp is None:
        return None
    priority = _PRIORITY.search(clean, 0, stamp.start())
    by = PROGRAM if priority and int(priority[1]) >= 8 else ""
    return by + clean[stamp.end() :].rstrip()


def stamped(line: str) -> str:
    """A line of a console from the kernel's stamp on; without one, the whole line."""
    clean = CONTROL.sub("", line)
    stamp, text = STAMP.search(clean), text_of(line)
    return clean if stamp is None or text is None else stamp[0] + text


MARKER = "vexlab: stage {stage} begins, taint {taint}, run {word}"


def marker_of(stage: str, taint: int, token: str) -> str:
    """Return the line by which a stage is found in the kernel's log again; `token` is the random word of the run."""
    return MARKER.format(stage=stage, taint=taint, word=token)


def begin_of(texts: Sequence[str | None], stage: str, token: str) -> tuple[int, int] | None:
    """Where the marker of a stage is and the taint flags that it tells; None when it isn't there.

    The first with the run's token counts: whoever repeats it has read it, and can't have been earlier.
    """
    marker = MARKER.format(stage=re.escape(stage), taint=r"(\d+)", word=r"(\w+)")
    pattern = re.compile(rf"(?:{re.escape(PROGRAM)})?{marker}")
    for index, text in enumerate(texts):
        found = pattern.fullmatch(text) if text else None
        if found and token and found[2] == token:
            return index, int(found[1])
    return None


def without_stamp(line: str) -> str:
    """The kernel's text of a line of its log; of a log without time stamps, the line."""
    text = text_of(line)
    return CONTROL.sub("", line).rstrip() if text is None else text


def meaning(text: str) -> Message | None:
    """What kind of message a text of the kernel's is; None for one that says nothing of a bug."""
    program, words = text.startswith(PROGRAM), text.removeprefix(PROGRAM)
    found = (message for message, pattern in _PATTERNS if pattern.match(words))
    return next((message for message in found if message.program or not program), None)


def splats(lines: Iterable[str], *, blocks: bool = True) -> list[str]:
    """The lines of a log that report a bug, as they stand there.

    Not what a program wrote, nor the trace of what is no bug. `blocks`: what damaged filesystems bring about, too.
    """
    found, texts = [], list[str]()
    for line in lines:
        text = without_stamp(line)
        message = meaning(text)
        texts.append(text)
        if message is None or not message.judged or (message.kind == BLOCKS and not blocks):
            continue
        if message.name == "trace" and _is_harmless_trace(texts[:-1]):
            continue
        found.append(line)
    return found


def bug_told(lines: Sequence[str], *, blocks: bool = True) -> str:
    """What the lines of a log report of a bug, in one; empty when they report none. `blocks` as in `splats`."""
    found = splats(lines, blocks=blocks)
    told = [line for line in found if not _is_frame_of_a_report(line)] or found
    return f"the kernel reported a bug: {' / '.join(told[:5])}{_where(lines)}" if told else ""


def _is_frame_of_a_report(line: str) -> bool:
    """Whether a line only says that a report is around it: a separator, or the head of a trace."""
    message = meaning(without_stamp(line))
    return message is not None and message.kind == TRACE


def _where(lines: Sequence[str]) -> str:
    """Which functions of a module the first report is about, as the end of a sentence."""
    return next((f"; {report.where}" for report in reports(list(map(text_of, lines))) if report.where), "")


def _is_harmless_trace(before: Sequence[str]) -> bool:
    """Whether a trace belongs to a failed allocation, an injected fault and the like: the lines above it tell."""
    for text in reversed(before[-12:]):
        if _HARMLESS_TRACE.match(text) or ((said := meaning(text)) and not said.judged):
            return True
        if not _BETWEEN.match(text):
            return False
    return False


@dataclass(frozen=True)
class Report:
    """One report of a kernel: its class, its first line, why it came, and its lines, from `first` to before `end`."""

    kind: str
    head: str
    because: str
    first: int
    end: int
    lines: tuple[str, ...]

    @property
    def function(self) -> str:
        """The function in which it happened, as the kernel names it; empty when it doesn't. A guess (`?`) is none."""
        found = next((match for line in self.lines if (match := _FUNCTION.search(line))), None)
        return found["function"] if found else ""

    @property
    def where(self) -> str:
        """The functions of modules that it is about: who allocated the memory and freed it, or else who was at work."""
        found: dict[str, str] = {}
        about = ""
        for line in self.lines[1:]:
            if owner := _OWNER.match(line):
                about = (owner[1] or owner[2]).lower()
            elif _NO_OWNER.match(line):
                about = ""
            frame = None if line.lstrip().startswith("? ") else _FRAME.search(line)
            if frame:
                found.setdefault(about, frame[0])
        owners = [f"{what} by {found[what]}" for what in ("allocated", "freed") if what in found]
        at_work = f"under {found['']}" if "" in found and not _FRAME.search(self.head) else ""
        return ", ".join(owners) or at_work

    @property
    def said(self) -> str:
        """Its cause in a sentence: why, what, and in which function."""
        what = f"{self.because.rstrip('.')}: {self.head}" if self.because else self.head
        function = self.function
        return f"{what} in {function}" if function and function.partition("+")[0] not in self.head else what


def reports(texts: Sequence[str | None]) -> list[Report]:
    """The reports in the lines of a console (text_of each), in their order; a panic ends the one before it."""
    starts: list[tuple[int, Message]] = []
    has_trace = True  # whether the report that is going on has come to its trace; what comes before is its head
    for index, text in enumerate(texts):
        message = meaning(text) if text is not None else None
        if message is not None and (message.kind in REPORTS or message.kind == PANIC):
            is_head = not has_trace and starts and starts[-1][1].kind == message.kind and index - starts[-1][0] < 12
            if not is_head:
                starts.append((index, message))
                has_trace = False
        elif text is not None and (_FUNCTION.search(text) or text.startswith(("Call Trace", "Call trace"))):
            has_trace = True
    found = []
    for number, (first, message) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(texts)
        end = next((i + 1 for i in range(first, end) if _END.match(texts[i] or "")), end)
        lines = tuple(text for text in texts[first:end] if text is not None)
        found.append(Report(message.kind, lines[0].removeprefix(PROGRAM), _because(texts, first), first, end, lines))
    return found


def _because(texts: Sequence[str | None], first: int) -> str:
    """The line above a report that says why it came; empty when there is none."""
    for text in reversed(texts[max(0, first - 6) : first]):
        if text is None or CUT.match(text):
            continue
        message = meaning(text)
        return text if message is not None and message.kind == REASON else ""
    return ""


@dataclass(frozen=True)
class Cause:
    """Why a kernel died or hangs: the report, whether a panic calls it a hang, and what it had survived before."""

    report: Report
    hangs: bool
    survived: tuple[Report, ...]

    @property
    def said(self) -> str:
        """All of it in a sentence."""
        if not self.survived:
            return self.report.said
        more = f", and {len(self.survived) - 1} more" if len(self.survived) > 1 else ""
        return f"{self.report.said}; before that: {self.survived[-1].head}{more}"


def explain(texts: Sequence[str | None], *, hangs: bool = False) -> Cause | None:
    """Why a kernel died, from its console; None when that says nothing.

    What counts is the last panic, since nothing is written after it but by the kernel: the newest report of the class
    that its words name, or else its own words. Without a panic it is the newest report of a hang, if it `hangs`, and
    the newest oops otherwise: what was only a warning was survived.
    """
    found = reports(texts)
    panic = next((report for report in reversed(found) if report.kind == PANIC), None)
    if panic is None:
        kinds: tuple[str, ...] = HANGS if hangs else (OOPS, *HANGS)
        cause = next((report for report in reversed(found) if report.kind in kinds), None)
    else:
        found = [report for report in found if report.first < panic.first]
        words = panic.head.partition("syncing: ")[2]
        kinds = next((kinds for pattern, kinds in PANICS if re.match(pattern, words)), ())
        cause = next((report for report in reversed(found) if report.kind in kinds), panic)
    if cause is None:
        return None
    survived = tuple(report for report in found if report.first < cause.first and report.kind != PANIC)
    return Cause(cause, panic is not None and cause.kind in HANGS, survived)


def panicked(console: str) -> bool:
    """Whether the kernel whose console this is has panicked."""
    return any((text_of(line) or "").startswith("Kernel panic - not syncing") for line in console.splitlines())
