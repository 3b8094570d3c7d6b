"""Runs in the guest, over one ssh connection: runs commands, tells how they ended and what the kernel said.

A new ssh command costs a tenth of a second and more in an emulated guest, a new Python three times that, and a look
at the kernel's log as much again. Here all three are free: a shell is forked from a process that is there, Python code
runs in a fork of it, compiled once, and /dev/kmsg is open already.

One JSON object per line each way. In, once: {"inside"}, the text of inside.py, which all code can use. Then {"script"}
or {"code", "arguments"}, and "seconds". Out: {"code", "stdout", "stderr", "kernel", "warnings"}, the last being the
kernel's messages that are of level warning or worse; code 124 is a command that was killed at its deadline. "stuck"
is there too when even that didn't end it, which means that the kernel hangs, and tells where.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

KILL_SECONDS = 10.0  # from SIGKILL until a process that is still there counts as stuck in the kernel


@functools.cache
def compiled(code: str) -> CodeType:
    """The code of a check, which the next check may bring again."""
    return compile(code, "<check>", "exec")


def become(order: dict[str, Any], names: dict[str, Any]) -> int:
    """In the child: turn into the command. Output goes to files: a process that it leaves behind holds nothing up."""
    if "script" in order:
        os.execvp("sh", ["sh", "-euc", order["script"]])
    sys.argv = ["-c", *map(str, order["arguments"])]  # for programs; code of checks has `arguments`
    names |= {"__name__": "__main__", "arguments": order["arguments"]}
    try:
        exec(compiled(order["code"]), names)
    except SystemExit as end:
        if not isinstance(end.code, (int, type(None))):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as problem:
        # The line of the check's code that failed, before Python's own words.
        lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == "<check>"]
        line = order["code"].splitlines()[lines[-1] - 1].strip() if lines and lines[-1] else ""
        print(f"{type(problem).__name__}: {problem}{f' in: {line}' if line else ''}", file=sys.stderr)
        return 1
    print(*names["answers"], sep="\n", end="")
    return 0


def run(order: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Run one command; returns its exit code, as a shell would tell it, its two streams, and whether it is stuck."""
    if "code" in order:
        with contextlib.suppress(SyntaxError):  # told by the child, when it meets it
            compiled(order["code"])
    streams = [os.memfd_create(name) for name in ("stdout", "stderr")]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(streams[0], 1)
            os.dup2(streams[1], 2)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            code = become(order, names)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            code = 127
        os._exit(code)
    descriptor = os.pidfd_open(child)
    late = not select.select([descriptor], [], [], order["seconds"])[0]
    os.close(descriptor)
    stuck = kill(child) if late else ""
    said = [os.pread(stream, os.fstat(stream).st_size, 0).decode(errors="replace") for stream in streams]
    for stream in streams:
        os.close(stream)
    status = 124 if late else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = status if status >= 0 else 128 - status
    return {"code": code, "stdout": said[0], "stderr": said[1], **({"stuck": stuck} if stuck else {})}


def kill(child: int) -> str:
    """Kill a command and all that it started; returns who can't be killed and where it is, or nothing."""
    os.killpg(child, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):  # it is gone, and what it started may not be
            os.waitpid(child, os.WNOHANG)
        try:
            os.killpg(child, 0)
        except ProcessLookupError:
            return ""
        time.sleep(0.05)
    found = [place(path) for path in Path("/proc").glob("[0-9]*") if group(path) == child]
    stuck = "; ".join(found) or f"process group {child}"
    with contextlib.suppress(OSError):
        Path("/dev/kmsg").write_text(f"vexlab: SIGKILL does not end {stuck}\n"[:900])
    return stuck


def fields(process: Path) -> list[str]:
    """Fields of /proc/PID/stat from the process's state on; none when it is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def group(process: Path) -> int:
    """The process group of a process; 0 when it is gone."""
    return int((fields(process) or "000")[2])


def place(process: Path) -> str:
    """A process, its state, and where in the kernel it is: the first function of a module, or the innermost ones."""
    name, stack = "", list[str]()
    with contextlib.suppress(OSError):
        name = (process / "comm").read_text().strip()
        stack = [line.split(maxsplit=1)[1] for line in (process / "stack").read_text().splitlines()]
    where = next((frame for frame in stack if frame.endswith("]")), "") or " < ".join(stack[:4]) or "no stack"
    return f"{name} (process {process.name}, state {(fields(process) or '?')[0]}) in {where}"


def kernel_messages(kmsg: int) -> dict[str, list[str]]:
    """What the kernel logged since the last time, in the form that dmesg gives it; and what of that is no good news."""
    lines: list[str] = []
    warnings: list[str] = []
    while True:
        try:
            record = os.read(kmsg, 8192).decode(errors="replace")
        except BlockingIOError:
            return {"kernel": lines, "warnings": warnings}
        except BrokenPipeError:
            continue  # records were overwritten before they were read; the next read goes on behind them
        head, _, text = record.partition(";")
        source_and_level, _, time = (int(field) for field in head.split(",")[:3])
        lines.append(f"[{time // 1000000:5d}.{time % 1000000:06d}] {text.splitlines()[0] if text else ''}")
        if source_and_level <= 4:  # source 0 is the kernel itself, level 4 is a warning, and 0 the worst
            warnings.append(lines[-1])


def main() -> None:
    """Serve until standard input ends."""
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(kmsg, 0, os.SEEK_END)
    answers = os.fdopen(os.dup(1), "w")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    inside = sys.modules["inside"] = ModuleType("inside")
    inside.__dict__["kernel_messages"] = kernel_messages
    exec(compile(json.loads(sys.stdin.readline())["inside"], "inside.py", "exec"), inside.__dict__)
    for line in sys.stdin:
        answer = {**run(json.loads(line), inside.__dict__), **kernel_messages(kmsg)}
        print(json.dumps(answer), file=answers, flush=True)


main()
