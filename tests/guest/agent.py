"""Runs in the guest, over one ssh connection: runs commands, tells how they ended and what the kernel said.

A new ssh command costs a tenth of a second and more in an emulated guest, a new Python three times that, and a look
at the kernel's log as much again. Here all three are free: a shell is forked from a process that is there, Python code
runs in a fork of it, compiled once, and /dev/kmsg is open already.

One JSON object per line each way. In, once: {"inside"}, the text of inside.py, which all code can use. Then {"script"}
or {"code", "arguments"}, and "seconds". Out: {"code", "stdout", "stderr", "kernel", "warnings"}, the last being the
kernel's messages that are of level warning or worse; code 124 is a command that was killed at its deadline.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import sys
import traceback
from types import CodeType, ModuleType
from typing import Any


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


def run(order: dict[str, Any], names: dict[str, Any]) -> tuple[int, list[str]]:
    """Run one command; returns its exit code, as a shell would tell it, and its two streams."""
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
    if late:
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(descriptor)
    said = []
    for stream in streams:
        said.append(os.pread(stream, os.fstat(stream).st_size, 0).decode(errors="replace"))
        os.close(stream)
    return 124 if late else status if status >= 0 else 128 - status, said


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
        code, (stdout, stderr) = run(json.loads(line), inside.__dict__)
        answer = {"code": code, "stdout": stdout, "stderr": stderr, **kernel_messages(kmsg)}
        print(json.dumps(answer), file=answers, flush=True)


main()
