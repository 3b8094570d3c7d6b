"""Peak memory of every process of `vexlab up`, guest included. In a run of its own: looking takes time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labs import MARK, Bench
from benchmarks.measure import say
from benchmarks.table import Row, mebibytes

LAB = "memory"
SECONDS_BETWEEN_LOOKS = 0.1
ROWS = 12
INTERPRETERS = ("python", "sh", "bash", "perl")


@dataclass(frozen=True)
class Process:
    """What /proc tells of a process at one moment; sizes in MiB."""

    pid: int
    parent: int
    name: str
    peak: float
    resident: float
    marked: bool


def read_process(directory: Path) -> Process | None:
    """Read one directory of /proc; None when the process is gone, somebody else's, or of the kernel."""
    try:
        status = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines() if ":" in line)
        words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
        marked = f"{MARK}=".encode() in (directory / "environ").read_bytes()
        peak, resident = (int(status[field].split()[0]) / 1024 for field in ("VmHWM", "VmRSS"))
        return Process(int(directory.name), int(status["PPid"]), program(words), peak, resident, marked)
    except (OSError, KeyError, ValueError):
        return None


def program(words: list[str]) -> str:
    """What a command line runs: for interpreters the script or module, else the program."""
    name = Path(words[0]).name or "?"
    if not name.startswith(INTERPRETERS):
        return name.split(" ")[0].rstrip(":")
    rest = [word for word in words[1:] if word]
    for place, word in enumerate(rest):
        if word in ("-m", "-c"):
            return f"{name} -m {rest[place + 1]}" if word == "-m" and place + 1 < len(rest) else f"{name} -c"
        if not word.startswith("-"):
            return f"{name} {Path(word).name}"
    return name


def of_the_run(processes: Iterable[Process]) -> list[Process]:
    """The marked processes and their descendants; a sandbox clears its environment, and a daemon leaves its parent."""
    known = {process.pid: process for process in processes if process.pid != os.getpid()}
    ours = {pid for pid, process in known.items() if process.marked}
    found = True
    while found:
        more = {pid for pid, process in known.items() if process.parent in ours} - ours
        ours |= more
        found = bool(more)
    return [known[pid] for pid in ours]


class Sampler(threading.Thread):
    """Looks at /proc again and again: the highest peak by program, and the highest sum of what was resident at once."""

    def __init__(self) -> None:
        """Nothing is looked at before `start`."""
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = {}
        self.together = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `close`."""
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            found = (read_process(path) for path in Path("/proc").iterdir() if path.name.isdecimal())
            ours = of_the_run([process for process in found if process])
            for process in ours:
                self.peaks[process.name] = max(self.peaks.get(process.name, 0.0), process.peak)
            self.together = max(self.together, sum(process.resident for process in ours))

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


def measure(bench: Bench, runs: int) -> list[Row]:
    """One `vexlab up` with a look at all its processes ten times a second, whatever the number of runs."""
    source = str(bench.source("still"))
    assert bench.prepared
    say(f"memory: one run{' only' if runs > 1 else ''}")
    sampler = Sampler()
    sampler.start()
    try:
        bench.stages("up", "--name", LAB, "--source", source)
    finally:
        sampler.close()
    bench.vexlab("destroy", "--name", LAB)
    ordered = sorted(sampler.peaks.items(), key=lambda item: -item[1])
    rest = f"{len(ordered) - ROWS} more programs stayed below the last one" if len(ordered) > ROWS else ""
    return [
        *(mebibytes(f"peak of a process `{name}`", [peak]) for name, peak in ordered[:ROWS]),
        mebibytes("all at once, shared pages counted in each", [sampler.together], remark=rest),
    ]
