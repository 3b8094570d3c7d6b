"""One, two and four labs at once on one machine."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.labs import ROOT, Bench
from benchmarks.measure import Command, Contestant, interleave, run_together
from benchmarks.table import Row, missing, ratio, seconds

COUNTS = (1, 2, 4)
MIB_PER_LAB = 1024  # what QEMU, Ansible and the checks of one lab take, with room


def measure(bench: Bench, runs: int) -> list[Row]:
    """Time until the last of so many `vexlab up`, begun at once, has passed."""
    source = str(bench.source("still"))
    assert bench.prepared

    def together(count: int) -> float:
        names = [f"many-{number}" for number in range(count)]
        # Status 0 says that each stage has passed.
        up = [sys.executable, "-m", "vexlab", "up", "--source", source, "--name"]
        commands: list[Command] = [[*up, name] for name in names]
        took = run_together(commands, env=bench.environment, cwd=ROOT)
        for name in names:
            bench.vexlab("destroy", "--name", name)
        return took

    room = memory_available() // MIB_PER_LAB
    counts = [count for count in COUNTS if count <= room]
    contestants = [Contestant(_name(count), partial(together, count)) for count in counts]
    times = interleave(contestants, runs)
    rows: list[Row] = []
    for count in COUNTS:
        if count > room:
            rows.append(missing(_name(count), f"it takes {MIB_PER_LAB} MiB of free memory each"))
            continue
        rows.append(seconds(f"`vexlab up`, {_name(count)}, until the last has passed", times[_name(count)]))
        if count > 1:
            rows.append(ratio(f"{_name(count)} ÷ one lab", times[_name(count)], times[_name(1)]))
    return rows


def _name(count: int) -> str:
    return "one lab" if count == 1 else f"{count} labs at once"


def memory_available() -> int:
    """MiB that may be used without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("MemAvailable:"))
