"""Runs in the guest, over one ssh connection: runs commands, tells how they ended and what the kernel said.

In an emulated guest a new ssh command costs a tenth of a second and more, a new Python three times that, a fork of one
30 to 60 ms, and a look at the kernel's log as much again. Most checks take less. Here all four are free: a shell is
started from a process that is there, Python code runs in a process that was forked for an earlier check and found
unchanged after it, and /dev/kmsg is open already.

One JSON object per line each way. Out, once: {"ready"}, the process's number. In, once: {"inside"}, the text of
in_guest.py, which all code can use, and {"disks"}, directories whose disks must have room. Then {"script"} or {"code",
"arguments"}, and "seconds". Out: {"code", "stdout", "stderr", "kernel", "warnings", "lost"}. "warnings" are those of
the kernel's messages that are of level warning or worse, "lost" is how many it overwrote before they could be read.
Code 124 is a command that was killed at its deadline. "stuck" is there too when even that didn't end it, which means
that the kernel hangs, and tells where; "killed" when somebody else ended the process that ran the code, and is its
number; "full" when one of the disks has no room left, and is its directory.
"""

from __future__ import annotations

import contextlib
import functools
import json
import marshal
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOM = 1 << 20  # bytes that a disk must have free; with less, nothing on it can be relied on
DOUBTFUL = 64 << 20  # free bytes below which that is tried
STREAM_BYTES = 4 << 20  # of each stream of a command
ORDERS = 0  # standard input
KILL_SECONDS = 10.0  # from SIGKILL until a process that is still there counts as stuck in the kernel
# What of /proc/PID/status the next check would meet as well: proc_pid_status(5).
KEPT = ("Umask", "Uid", "Gid", "Groups", "Threads", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "CapEff")


@functools.cache
def compiled(code: str) -> CodeType | str:
    """The code of a check, which the next check may bring again; as it is when that is for the worker to refuse."""
    try:
        return compile(code, "<check>", "exec")
    except SyntaxError:
        return code


def become(order: dict[str, Any], names: dict[str, Any]) -> int:
    """In the worker: run the code of a check; returns the exit code that a program would have ended with."""
    sys.argv = ["-c", *map(str, order["arguments"])]  # for programs; code of checks has `arguments`
    names |= {"__name__": "__main__", "arguments": order["arguments"]}
    try:
        exec(order["code"], names)
    except SystemExit as end:
        if not isinstance(end.code, (int, type(None))):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as problem:
        # The line of the check's code that failed, before Python's own words.
        lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == "<check>"]
        line = order["source"].splitlines()[lines[-1] - 1].strip() if lines and lines[-1] else ""
        print(f"{type(problem).__name__}: {problem}{f' in: {line}' if line else ''}", file=sys.stderr)
        return 1
    print(*names["answers"], sep="\n", end="")
    return 0


def left_behind() -> list[object]:
    """What a check can change of the process that runs it, and the next check would meet."""
    me = Path("/proc/self")
    kept = [line for line in (me / "status").read_text().splitlines() if line.partition(":")[0] in KEPT]
    places = [(me / name).readlink() for name in ("cwd", "root", "ns/mnt")]
    try:
        children = str(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    except ChildProcessError:
        children = ""
    return [*kept, *places, children, *(me / "fd").iterdir()]


def is_as_before(home: Path, before: list[object]) -> bool:
    """Whether the process is again what it was, when it has gone home; who has become another user isn't."""
    try:
        os.chdir(home)
        return left_behind() == before
    except OSError:
        return False


def serve(orders: int, ends: int, streams: list[int], names: dict[str, Any]) -> int:
    """In the worker: run one check's code after the other; returns the exit code of the one that changed the process.

    One that doesn't is told with a byte. The exit of this process tells the other, when all that it held is let go.
    """
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    home, known, before = Path.cwd(), dict(names), left_behind()
    with os.fdopen(orders, "rb") as waiting:
        while True:
            try:
                order = marshal.load(waiting)
            except EOFError:
                return 0
            code = become(order, names)
            sys.stdout.flush()
            sys.stderr.flush()
            names.clear()  # and with the names go the files that are still open
            names |= known
            names["answers"].clear()
            if code or not is_as_before(home, before):
                return code
            os.write(ends, b"\n")


class Worker:
    """The process in which the code of checks runs; another one takes its place when it isn't what it was."""

    def __init__(self, names: dict[str, Any]) -> None:
        """Fork it. It waits until it is needed, and ends when nobody can need it any more."""
        self.streams = [os.memfd_create(name) for name in ("stdout", "stderr")]
        orders, self._orders = os.pipe()
        self._ends, ends = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            code = 127
            try:
                os.close(self._orders)
                os.close(self._ends)
                code = serve(orders, ends, self.streams, names)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        os.close(orders)
        os.close(ends)
        self._pidfd = os.pidfd_open(self.process)

    def run(self, order: dict[str, Any]) -> tuple[int, str, bool]:
        """Run the code of a check: its exit code, where it is stuck, and whether this process can run another."""
        deadline = time.monotonic() + order["seconds"]
        arguments = {"code": compiled(order["code"]), "source": order["code"], "arguments": order["arguments"]}
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._orders, "wb", closefd=False) as pipe:
            marshal.dump(arguments, pipe)  # if somebody has killed it meanwhile, its end tells
        ready = select.select([self._ends, ORDERS], [], [], order["seconds"])[0]
        if self._ends in ready and os.read(self._ends, 1):
            return 0, "", True
        return *ended(self.process, self._pidfd, deadline), False

    def close(self) -> None:
        """Let go of it, once it has ended."""
        for descriptor in (self._orders, self._ends, self._pidfd, *self.streams):
            os.close(descriptor)


class Runner:
    """Runs scripts and the code of checks."""

    def __init__(self, names: dict[str, Any]) -> None:
        """Take the names that all code can use, and have a worker wait for the first of it."""
        self._names = names
        self._worker = Worker(names)

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Run one command: its exit code, as a shell would tell it, its two streams, and where it is stuck if it is."""
        return self._script(order) if "script" in order else self._code(order)

    def _script(self, order: dict[str, Any]) -> dict[str, Any]:
        # Output goes to files: a process that the script leaves behind holds nothing up.
        streams = [os.memfd_create(name) for name in ("stdout", "stderr")]
        child = subprocess.Popen(
            ["sh", "-euc", order["script"]],
            stdin=subprocess.DEVNULL, stdout=streams[0], stderr=streams[1], start_new_session=True,
        )  # fmt: skip
        descriptor = os.pidfd_open(child.pid)
        answer = told(*ended(child.pid, descriptor, time.monotonic() + order["seconds"]), streams)
        child.returncode = answer["code"]  # it was waited for, which Popen hasn't seen
        for number in (descriptor, *streams):
            os.close(number)
        return answer

    def _code(self, order: dict[str, Any]) -> dict[str, Any]:
        code, stuck, can_go_on = self._worker.run(order)
        answer = told(code, stuck, self._worker.streams)
        if can_go_on:
            for stream in self._worker.streams:
                os.ftruncate(stream, 0)
                os.lseek(stream, 0, os.SEEK_SET)
        else:
            if code == 128 + signal.SIGKILL:  # ours comes at the deadline, and tells 124
                answer["killed"] = self._worker.process
            self._worker.close()
            self._worker = Worker(self._names)
        return answer


def ended(child: int, pidfd: int, deadline: float) -> tuple[int, str]:
    """Wait for a child until its deadline: its exit code, as a shell would tell it, and where it is stuck if it is.

    Nobody sends an order before the last one is answered: what comes meanwhile is the end of whoever waits for it, and
    of this process and the child with that.
    """
    ready = select.select([pidfd, ORDERS], [], [], max(0.0, deadline - time.monotonic()))[0]
    if pidfd not in ready:
        stuck = kill(child)
        if ready:
            sys.exit(f"nobody waits for the answer any more{stuck and '; '}{stuck}")
        return 124, stuck
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code, ""


def ends(stream: int) -> bytes:
    """What a command wrote; of more than STREAM_BYTES, the beginning and the end."""
    size, half = os.fstat(stream).st_size, STREAM_BYTES // 2
    if size <= STREAM_BYTES:
        return os.pread(stream, size, 0)
    left_out = f"\n[vexlab: {size - 2 * half} bytes left out]\n".encode()
    return os.pread(stream, half, 0) + left_out + os.pread(stream, half, size - half)


def told(code: int, stuck: str, streams: list[int]) -> dict[str, Any]:
    """What a command came to, for whoever asked."""
    said = [ends(stream).decode(errors="replace") for stream in streams]
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


class KernelLog:
    """The kernel's messages from a descriptor of /dev/kmsg, and how many were overwritten before they could be read.

    A flood of messages takes room from those that nobody has read yet. The kernel numbers its records, so a gap shows.
    What a program wrote there is marked as kernel_messages.py knows it.
    """

    def __init__(self, kmsg: int) -> None:
        """Read from where the descriptor is."""
        self._kmsg = kmsg
        self._next: int | None = None  # the number that the next record has if none is missing

    def new(self) -> dict[str, Any]:
        """What the kernel logged since the last time, in the form of dmesg; what of that is no good news; the lost."""
        lines: list[str] = []
        warnings: list[str] = []
        lost = 0
        while True:
            try:
                record = os.read(self._kmsg, 8192).decode(errors="replace")
            except BlockingIOError:
                return {"kernel": lines, "warnings": warnings, "lost": lost}
            except BrokenPipeError:  # the next read goes on behind what was overwritten, and its number tells how many
                lost += self._next is None
                continue
            head, _, text = record.partition(";")
            source_and_level, number, time = (int(field) for field in head.split(",")[:3])
            lost += number - self._next if self._next is not None else 0
            self._next = number + 1
            # The facility is above the three bits of the level; only that of the kernel itself is 0.
            by = "(program) " if source_and_level >> 3 else ""
            lines.append(f"[{time // 1000000:5d}.{time % 1000000:06d}] {by}{text.splitlines()[0] if text else ''}")
            if source_and_level <= 4:  # source 0 is the kernel itself, level 4 is a warning, and 0 the worst
                warnings.append(lines[-1])


def full_disk(directories: list[str]) -> dict[str, str]:
    """The first of these directories whose disk has no room left; those that aren't there don't count.

    A filesystem keeps some of what it calls free for itself, so that only an attempt tells for sure.
    """
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            disk = os.statvfs(directory)
            if disk.f_bavail * disk.f_frsize < DOUBTFUL:
                try:
                    with tempfile.TemporaryFile(dir=directory) as file:
                        os.posix_fallocate(file.fileno(), 0, ROOM)
                except OSError:
                    return {"full": directory}
    return {}


def main() -> None:
    """Serve until standard input ends."""
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(kmsg, 0, os.SEEK_END)
    answers, log = os.fdopen(os.dup(1), "w"), KernelLog(kmsg)
    print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
    begin = json.loads(sys.stdin.readline())
    inside = sys.modules["in_guest"] = ModuleType("in_guest")
    inside.__dict__["KernelLog"] = KernelLog
    exec(compile(begin["inside"], "in_guest.py", "exec"), inside.__dict__)
    runner = Runner(inside.__dict__)
    for line in sys.stdin:
        answer = runner.run(json.loads(line)) | log.new() | full_disk(begin["disks"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
