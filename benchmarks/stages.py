"""Times of `vexlab up`, stage by stage: medians over several runs, cold guest each, image cached.

Usage: python benchmarks/stages.py [--runs N] [vexlab up options…]

Each run brings up a lab of its own and destroys it. Printed: seconds of each stage and of the whole command, and the
peak memory of the command itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

LAB = "benchmark"


def vexlab(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of vexlab; its words for people go to our stderr."""
    return subprocess.run([sys.executable, "-m", "vexlab", *arguments], stdout=subprocess.PIPE, text=True, check=False)


def once(options: list[str]) -> dict[str, float]:
    """One `up` from no guest at all: seconds by stage."""
    vexlab("destroy", "--name", LAB)
    started = time.monotonic()
    done = vexlab("up", "--name", LAB, "--json", *options)
    whole = time.monotonic() - started
    vexlab("destroy", "--name", LAB)
    document = json.loads(done.stdout)
    if document["verdict"] != "passed":
        sys.exit(f"the run did not pass, so its times say nothing: {document['run']}")
    stages = {stage["name"]: float(stage["seconds"]) for stage in document["stages"]}
    return {"image and guest": whole - sum(stages.values()), **stages, "whole": whole}


def peak_memory_mib() -> float:
    """Peak memory of the largest process that we waited for, which is the command itself and its children."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description="times of vexlab up, stage by stage")
    parser.add_argument("--runs", type=int, default=5)
    given, options = parser.parse_known_args()
    times = [once(options) for _ in range(given.runs)]
    print(f"{given.runs} runs, {os.cpu_count()} CPUs; seconds")
    print(f"{'':<18}{'median':>8}{'min':>8}{'max':>8}")
    for name in times[0]:
        values = [run[name] for run in times]
        print(f"{name:<18}{statistics.median(values):>8.1f}{min(values):>8.1f}{max(values):>8.1f}")
    print(f"peak memory of a process of the command: {peak_memory_mib():.0f} MiB")


if __name__ == "__main__":
    main()
