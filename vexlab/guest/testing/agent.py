"""Runs in the guest, over one ssh connection: runs commands, tells how they ended and what the kernel said.

In an emulated guest a new ssh command costs a tenth of a second and more, a new Python three times that, a fork of one
30 to 60 ms, and a look at the kernel's log as much again. Most checks take less. Here all four are free: a shell is
started from a process that is there, a function is called in a process that was forked for an earlier check and found
unchanged after it, and /dev/kmsg is open already.

One JSON object per line each way; this is the protocol's only description. connection.py is the other side.

Out, once: {"ready"}, the process's number. In, once: {"sources"}, the text of each module that runs in the guest by its
name (package `vexlab.guest.inside`, and what that imports beside the standard library), and {"disks"}, directories
whose disks must have room. Modules are imported from there when somebody imports them; a package of which nothing but
modules came, as `vexlab` itself, is empty. Then one order after the other, each with "seconds", its deadline:

{"script"}: run by `sh -eu`.
{"call", "arguments"}: a function, named `module:function` or `module:Class.method`, is called with these.

Out, for each: {"code", "stdout", "stderr", "kernel", "warnings", "lost"}. "warnings" are those of the kernel's messages
that are of level warning or worse, "lost" is how many it overwrote before they could be read. Code 124 is a command
that was killed at its deadline. A call has "outcome" too, unless its process ended: a JSON text of its own, with
{"value"}, what the function returned, and code 0; or with {"raised"}, {"type", "message", "where"} of the exception,
and code 1, and then "stderr" ends in the traceback. "where" names function, file and line from the outside to the
inside.

"where" tells of a command that was killed at its deadline where its processes were then, and whether they went on;
"stuck" is there too when even SIGKILL didn't end a command, which means that the kernel hangs, and tells where;
"killed" when somebody else ended the process that ran the function, and is its number; "full" when one of the disks has
no room left, and is its directory.

What comes back is data for whoever asked: text and numbers, never code. Each stream and each outcome is bounded here,
for the sake of a guest that is well, and the whole answer by connection.py; answers.py believes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from importlib.abc import ExecutionLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

ROOM = 1 << 20  # bytes that a disk must have free; with less, nothing on it can be relied on
DOUBTFUL = 64 << 20  # free bytes below which that is tried
STREAM_BYTES = 4 << 20  # of each stream of a command
OUTCOME_BYTES = 2 << 20  # of what a function returned
MESSAGE, FRAMES = 4000, 10  # characters of an exception's words, and how many functions say where it came from
ORDERS = 0  # standard input
INSIDE = "vexlab/guest/inside/"  # where the functions are that are called
KILL_SECONDS = 10.0  # from SIGKILL until a process that is still there counts as stuck in the kernel
# What of /proc/PID/status the next check would meet as well: proc_pid_status(5).
KEPT = ("Umask", "Uid", "Gid", "Groups", "Threads", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "CapEff")


class Sources(ExecutionLoader):
    """Finds modules among the sources that came over the connection, whose lines a traceback then shows."""

    def __init__(self, sources: dict[str, str]) -> None:
        """Take the text of each module by its name."""
        self._sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """What the import system wants to know of a module; nothing of one of which nothing came."""
        if name not in self._sources and not self.is_package(name):
            return None
        return ModuleSpec(name, self, origin=self.get_filename(name), is_package=self.is_package(name))

    def get_filename(self, name: str) -> str:
        """Where it is, from the directory of the collection."""
        return name.replace(".", "/") + ("/__init__.py" if self.is_package(name) else ".py")

    def is_package(self, name: str) -> bool:
        """Whether other modules are in it."""
        return any(other.startswith(f"{name}.") for other in self._sources)

    def get_source(self, name: str) -> str:
        """Its text; of a package that is there for the modules in it, none."""
        return self._sources.get(name, "")


def become(order: dict[str, Any], outcome: int) -> int:
    """In the worker: call a function, and write what it returned or raised; returns the code that tells which."""
    from vexlab.guest.inside.calls import named

    code = 0
    try:
        text = json.dumps({"value": named(order["call"])(*order["arguments"])})
        if len(text) > OUTCOME_BYTES:
            raise ValueError(f"{len(text)} bytes were returned, {OUTCOME_BYTES} are the most")
    except BaseException as problem:
        traceback.print_exc()
        text, code = json.dumps({"raised": raised(problem)}), 1
    os.write(outcome, text.encode())
    return code


def raised(problem: BaseException) -> dict[str, Any]:
    """An exception as data: its type, its words, and where it came from, as far as that is in INSIDE."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if frame.filename.startswith(INSIDE)]
    where = [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames]
    return {"type": type(problem).__name__, "message": str(problem)[:MESSAGE], "where": where[-FRAMES:]}


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


def serve(orders: int, ends: int, streams: list[int]) -> int:
    """In the worker: call one function after the other; returns the exit code of the one that changed the process.

    One that doesn't is told with a byte. The exit of this process tells the other, when all that it held is let go.
    """
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    home, before = Path.cwd(), left_behind()
    with os.fdopen(orders, "rb") as waiting:
        while line := waiting.readline():
            code = become(json.loads(line), streams[2])
            sys.stdout.flush()
            sys.stderr.flush()
            if code or not is_as_before(home, before):
                return code
            os.write(ends, b"\n")
    return 0


class Worker:
    """The process in which functions are called; another one takes its place when it isn't what it was."""

    def __init__(self) -> None:
        """Fork it. It waits until it is needed, and ends when nobody can need it any more."""
        self.streams = [os.memfd_create(name) for name in ("stdout", "stderr", "outcome")]
        orders, self._orders = os.pipe()
        self._ends, ends = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            code = 127
            try:
                os.close(self._orders)
                os.close(self._ends)
                code = serve(orders, ends, self.streams)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        os.close(orders)
        os.close(ends)
        self._pidfd = os.pidfd_open(self.process)

    def run(self, order: dict[str, Any]) -> tuple[int, dict[str, str], bool]:
        """Call a function: the exit code, where it was if it didn't end, and whether this process can call another."""
        deadline = time.monotonic() + order["seconds"]
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._orders, "wb", closefd=False) as pipe:
            pipe.write(json.dumps(order).encode() + b"\n")  # if somebody has killed it meanwhile, its end tells
        ready = select.select([self._ends, ORDERS], [], [], order["seconds"])[0]
        if self._ends in ready and os.read(self._ends, 1):
            return 0, {}, True
        return *ended(self.process, self._pidfd, deadline), False

    def close(self) -> None:
        """Let go of it, once it has ended."""
        for descriptor in (self._orders, self._ends, self._pidfd, *self.streams):
            os.close(descriptor)


class Runner:
    """Runs scripts, and calls functions."""

    def __init__(self) -> None:
        """Have a worker wait for the first call."""
        self._worker = Worker()

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Run one command: its exit code, as a shell tells it, its two streams, and where it was at its deadline."""
        return self._script(order) if "script" in order else self._call(order)

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

    def _call(self, order: dict[str, Any]) -> dict[str, Any]:
        code, where, can_go_on = self._worker.run(order)
        answer = told(code, where, self._worker.streams)
        if can_go_on:
            for stream in self._worker.streams:
                os.ftruncate(stream, 0)
                os.lseek(stream, 0, os.SEEK_SET)
        else:
            if code == 128 + signal.SIGKILL:  # ours comes at the deadline, and tells 124
                answer["killed"] = self._worker.process
            self._worker.close()
            self._worker = Worker()
        return answer


def ended(child: int, pidfd: int, deadline: float) -> tuple[int, dict[str, str]]:
    """Wait for a child until its deadline: its exit code, as a shell would tell it, and if it didn't end where it was.

    Nobody sends an order before the last one is answered: what comes meanwhile is the end of whoever waits for it, and
    of this process and the child with that.
    """
    ready = select.select([pidfd, ORDERS], [], [], max(0.0, deadline - time.monotonic()))[0]
    if pidfd not in ready:
        where = {} if ready else {"where": sit(child)}
        stuck = kill(child)
        if ready:
            sys.exit(f"nobody waits for the answer any more{stuck and '; '}{stuck}")
        return 124, where | ({"stuck": stuck} if stuck else {})
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code, {}


def sit(child: int) -> str:
    """Where a command and all that it started are."""
    from vexlab.guest.inside import processes

    return processes.sit(child)


def ends(stream: int) -> bytes:
    """What a command wrote; of more than STREAM_BYTES, the beginning and the end."""
    size, half = os.fstat(stream).st_size, STREAM_BYTES // 2
    if size <= STREAM_BYTES:
        return os.pread(stream, size, 0)
    left_out = f"\n[vexlab: {size - 2 * half} bytes left out]\n".encode()
    return os.pread(stream, half, 0) + left_out + os.pread(stream, half, size - half)


def told(code: int, where: dict[str, str], streams: list[int]) -> dict[str, Any]:
    """What a command came to, for whoever asked."""
    said = {
        name: ends(stream).decode(errors="replace")
        for name, stream in zip(("stdout", "stderr", "outcome"), streams, strict=False)
    }
    return {"code": code, **said, **where}


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
    from vexlab.guest.inside import processes

    found = [processes.place(path) for path in processes.of_group(child)]
    stuck = "; ".join(found) or f"process group {child}"
    with contextlib.suppress(OSError):
        Path("/dev/kmsg").write_text(f"vexlab: SIGKILL does not end {stuck}\n"[:900])
    return stuck


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
    answers = os.fdopen(os.dup(1), "w")
    print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
    begin = json.loads(sys.stdin.readline())
    sys.meta_path.insert(0, Sources(begin["sources"]))
    from vexlab.guest.inside.kmsg import KernelLog

    runner, log = Runner(), KernelLog(kmsg)
    for line in sys.stdin:
        answer = runner.run(json.loads(line)) | log.new() | full_disk(begin["disks"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
