"""Ends what a command of vexlab started, when vexlab itself can't any more: it was killed.

What a command starts carries a mark in its environment, which makes it provably its own, whatever session or process
group it is in. A reaper is a process beside the command that waits at a pipe of which vexlab alone holds the other end:
when that ends, however vexlab ended, what still carries the mark is ended too. The reaper holds the descriptors of
vexlab's locks for as long, so that a lab is free when the work in it is over, and not before.

Run as a program: reaper.py MARK [DIRECTORY…]. Standard library only, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

GRACE = 10.0  # seconds that a process gets to end by itself
NAME = "VEXLAB_RUN"
MARK = f"{NAME}={uuid.uuid4()}"  # of this process; what it starts has it in its environment


@contextlib.contextmanager
def guarded(directories: Sequence[Path] = (), locks: Sequence[int] = ()) -> Iterator[None]:
    """Mark what is started meanwhile, and have it ended at the end; that of this process is soon enough.

    `directories` are removed then, and `locks`, open descriptors, are held until then.
    """
    before = os.environ.get(NAME)
    os.environ[NAME] = MARK.partition("=")[2]
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, MARK, *map(str, directories)], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=tuple(locks), start_new_session=True, env={},
    )  # fmt: skip
    try:
        yield
    finally:
        process.communicate()
        if process.returncode:  # it was killed
            end_marked(MARK)
        if before is None:
            os.environ.pop(NAME, None)
        else:
            os.environ[NAME] = before


def is_marked(pid: int, mark: str) -> bool:
    """Whether a process carries a mark in its environment; one that can't be looked at doesn't."""
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def marked_processes(mark: str) -> list[int]:
    """Processes that carry a mark, this one aside."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if pid != os.getpid() and is_marked(pid, mark)]


def signal_process(pid: int, mark: str, number: signal.Signals) -> None:
    """Send a signal to a process if it carries a mark."""
    with contextlib.suppress(OSError):
        # The descriptor is opened before the mark is read: the number can't come to mean another process.
        descriptor = os.pidfd_open(pid)
        try:
            if is_marked(pid, mark):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def end_marked(mark: str) -> None:
    """End the processes that carry a mark: SIGTERM, and SIGKILL for those that don't heed it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        told: set[int] = set()
        deadline = time.monotonic() + GRACE
        while (found := set(marked_processes(mark))) and time.monotonic() < deadline:
            for pid in found - told:  # those too that were started meanwhile
                signal_process(pid, mark, number)
            told |= found
            time.sleep(0.05)


def main() -> None:
    """Wait until nobody holds the other end of standard input, then end what is left and remove the directories."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with vexlab, and after it
    sys.stdin.buffer.read()
    end_marked(sys.argv[1])
    for directory in sys.argv[2:]:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
