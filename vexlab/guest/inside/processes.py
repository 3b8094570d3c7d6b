"""Where processes are: what somebody wants to know of one that doesn't end."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

MOST = 4  # processes of a group that are told
APART = 1.0  # seconds between two looks: what goes on is slow, and what doesn't is stuck


def fields(process: Path) -> list[str]:
    """Fields of /proc/PID/stat from the process's state on; none when it is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def group(process: Path) -> int:
    """The process group of a process; 0 when it is gone."""
    return int((fields(process) or "000")[2])


def of_group(leader: int) -> list[Path]:
    """The processes of a group that are there."""
    return [path for path in sorted(Path("/proc").glob("[0-9]*")) if group(path) == leader]


def text(path: Path) -> str:
    """What a file of /proc says; nothing of a process that is gone."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def place(path: Path) -> str:
    """A process, its state, and where in the kernel it is: the first function of a module, or the innermost ones."""
    stack = [line.split(maxsplit=1)[1] for line in text(path / "stack").splitlines()]
    where = next((frame for frame in stack if frame.endswith("]")), "") or " < ".join(stack[:4])
    waits = text(path / "wchan").strip("0")
    where = where or (f"{waits}, no stack" if waits else "no function of the kernel")
    return f"{text(path / 'comm')} (process {path.name}, state {(fields(path) or '?')[0]}) in {where}"


def done_so_far(path: Path) -> tuple[float, int]:
    """Seconds of CPU time that a process has used, and bytes that it has written."""
    found, written = fields(path), 0
    with contextlib.suppress(OSError, ValueError):  # the kernel need not count it
        lines = (path / "io").read_text().splitlines()
        written = next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), 0)
    ticks = sum(map(int, found[11:13])) if len(found) > 12 else 0
    return ticks / os.sysconf("SC_CLK_TCK"), written


def sit(leader: int) -> str:
    """Where the processes of a group are that should have ended, and whether they go on: in words."""
    before = {path: done_so_far(path) for path in of_group(leader)}
    time.sleep(APART)
    told = []
    for path in of_group(leader)[:MOST]:
        cpu, written = done_so_far(path)
        cpu_before, written_before = before.get(path, (cpu, written))
        if written > written_before:
            goes_on = f"slow: it goes on writing, {(written - written_before) / 1024 / APART:.0f} KiB/s"
        elif cpu - cpu_before >= 0.02:  # two ticks; a busy machine gives no more
            goes_on = "it goes on, and computes"
        else:
            goes_on = "it doesn't go on"
        told.append(f"{place(path)}, {cpu:.1f} s of CPU time, {written / (1 << 20):.1f} MiB written; {goes_on}")
    return "; ".join(told)
