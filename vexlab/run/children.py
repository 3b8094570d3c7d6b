"""Processes that do a part of a command's work: how they are ended."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable

TICK = 0.05


def end(processes: Iterable[subprocess.Popen[bytes]], grace: float) -> None:
    """Interrupt what of these runs, and kill what doesn't heed that within so many seconds; none runs afterwards."""
    children = list(processes)
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in children:
            if process.poll() is None:
                process.send_signal(number)
        deadline = time.monotonic() + grace
        while any(process.poll() is None for process in children) and time.monotonic() < deadline:
            time.sleep(TICK)
