"""What is kept of a guest that can't go on, before it is ended: its kernel's words, its memory, a trace with places."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages

from vexlab.guest import console_log, memory_dump, watch
from vexlab.guest.failure import GuestFailure
from vexlab.guest.lab import Lab, qmp
from vexlab.guest.symbols import FRAME, Symbols
from vexlab.results.model import Verdict

# Keys of the kernel's sysrq (Documentation/admin-guide/sysrq.rst), and what they make it print.
SYSRQ = {"w": "tasks that are blocked", "l": "what each CPU does", "t": "all tasks"}
KEPT = ("trace.txt", "vmcore", "vmcore.failed")  # files of a stage that are made here
SILENCE_SECONDS = 1.5  # the console is quiet for so long: the answer is complete
ANSWER_SECONDS = 20.0  # for one key; printing all tasks on an emulated serial line takes a while
DUMP_SECONDS = 300.0


@dataclass(frozen=True)
class CrashSite:
    """Where it happened: the lab, the directory of the run, the stage, the module under test and where it was built."""

    lab: Lab
    run: Path
    stage: str
    module: str
    build: str

    @property
    def directory(self) -> Path:
        """Where the evidence of the stage goes."""
        return self.run / "stages" / self.stage

    @property
    def console(self) -> Path:
        """The guest's serial console, which goes on as long as the guest does."""
        return self.lab.directory / "console.log"


def collect(scene: CrashSite, death: GuestFailure, *, memory: bool) -> GuestFailure:
    """Keep the evidence; returns the death with the source line in its reason, if it can be told.

    A guest that hangs is asked for its blocked tasks, its CPUs and all its tasks, and then stopped: nothing can be done
    with it any more, and the next start replaces a guest that doesn't run. `memory` also dumps its memory.
    """
    scene.directory.mkdir(parents=True, exist_ok=True)
    guest = bool(scene.lab.record())  # there is none behind test hardware
    if death.verdict is Verdict.HUNG and guest:
        ask_kernel(scene.lab, scene.console)
    if memory and guest:
        dump_memory(scene)
    if death.verdict is Verdict.HUNG and guest:
        stop(scene.lab)
    log = stage_log(scene.console, scene.stage, token_of(scene.run))
    kernel_log = scene.directory / "kernel.log"
    if log and not kernel_log.exists():
        kernel_log.write_text("".join(f"{line}\n" for line in log))
    symbols = Symbols(scene.lab.module_file, scene.module, scene.build)
    texts = [kernel_messages.text_of(line) for line in log]
    cause = kernel_messages.explain(texts, hangs=death.verdict is Verdict.HUNG)
    if cause is not None:
        trace = log[cause.report.first :]
        (scene.directory / "trace.txt").write_text("".join(f"{symbols.annotate(line)}\n" for line in trace))
    # what a kernel that hangs says when it is asked is about the hang; of others, only the report's own lines are
    asked = death.verdict is Verdict.HUNG or cause is None
    own = log[cause.report.first if cause else 0 : None if asked or cause is None else cause.report.end]
    return GuestFailure(death.verdict, with_place(death.reason, own, symbols))


def with_place(reason: str, trace: list[str], symbols: Symbols) -> str:
    """The reason with its place in the source; if it names no function of the module, with the trace's first one.

    A frame with a question mark is a word that was on the stack, and no evidence of a call.
    """
    shown = symbols.annotate(reason)
    if shown != reason:
        return shown
    sure = (line for line in trace if not kernel_messages.without_stamp(line).lstrip().startswith("? "))
    frames = (found for line in sure for found in FRAME.finditer(line) if found["module"] == symbols.module)
    frame = next(frames, None)
    return f"{reason}, under {symbols.annotate(frame[0])}" if frame is not None else reason


def cause_of_death(lab: Lab, module: str, build: str) -> GuestFailure:
    """What a dead guest's console says that it died of, with the place in the source, if that can be told."""
    text = console_log.read(lab.directory / "console.log")
    death = watch.explain_console(text, Verdict.PANICKED, "the guest's kernel panicked")
    return GuestFailure(death.verdict, Symbols(lab.module_file, module, build).annotate(death.reason))


def token_of(run: Path) -> str:
    """The word by which the markers of a run's stages are told from what a program writes to the kernel's log."""
    try:
        return (run / "marker").read_text().strip()
    except OSError:
        return ""


def stage_log(console: Path, stage: str, token: str) -> list[str]:
    """The kernel's lines on the console since the stage began, from their time stamps on."""
    try:
        lines = console_log.read(console).splitlines()
    except OSError:
        return []
    texts = [kernel_messages.text_of(line) for line in lines]
    begin = kernel_messages.begin_of(texts, stage, token)
    # The stage began before what wasn't kept, if its marker isn't there any more.
    start = _last_cut(lines) if begin is None else begin[0]
    if start is None:
        return []
    return [
        kernel_messages.stamped(line) for line, text in zip(lines[start + 1 :], texts[start + 1 :], strict=True) if text
    ]


def _last_cut(lines: list[str]) -> int | None:
    """Index of the last line that stands for what of the console wasn't kept."""
    return next((index for index in range(len(lines) - 1, -1, -1) if console_log.CUT_LINE.match(lines[index])), None)


def ask_kernel(lab: Lab, console: Path) -> None:
    """Have the kernel print its tasks on the console: a break on the serial line, then the key (sysrq)."""
    record = lab.record()
    control, line = Path(record.get("qmp_control", "")), str(record.get("console_socket", ""))
    for key in SYSRQ:
        before = _size(console)
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as serial:
            serial.settimeout(2)
            serial.connect(line)
            qmp(control, "chardev-send-break", {"id": "console"})
            serial.sendall(key.encode())
            _wait_for_silence(console, before, serial)


def stop(lab: Lab) -> None:
    """Stop the guest where it is."""
    with contextlib.suppress(OSError, ValueError):
        qmp(Path(lab.record().get("qmp_control", "")), "stop")


def _wait_for_silence(console: Path, before: int, serial: socket.socket) -> None:
    """Wait until the answer is on the console; what the socket brings is read so that the line doesn't fill up."""
    deadline, last, since = time.monotonic() + ANSWER_SECONDS, before, time.monotonic()
    serial.setblocking(False)
    while time.monotonic() < deadline:
        time.sleep(0.1)
        with contextlib.suppress(BlockingIOError):
            while serial.recv(65536):
                pass
        size = _size(console)
        if size != last:
            last, since = size, time.monotonic()
        elif time.monotonic() - since > (SILENCE_SECONDS if size > before else 3 * SILENCE_SECONDS):
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def dump_memory(scene: CrashSite) -> None:
    """Write the guest's memory to `vmcore`, compressed, as drgn reads it; a failure is noted beside it."""
    control, target = Path(scene.lab.record().get("qmp_control", "")), scene.directory / "vmcore"
    arguments: dict[str, Any] = {"paging": False, "protocol": f"file:{target}", "format": "kdump-zlib"}
    try:
        qmp(control, "dump-guest-memory", arguments, seconds=DUMP_SECONDS)
        memory_dump.assemble(target)
    except (OSError, ValueError) as problem:
        target.with_name("vmcore.failed").write_text(f"the guest's memory could not be dumped: {problem}\n")
