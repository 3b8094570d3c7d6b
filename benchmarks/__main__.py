"""Run sections and print one table of each, with goals, after a line on the machine.

Usage: python -m benchmarks [SECTION…] [--runs N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks import builders, guest_start, image, jobs, machine, many_labs, memory, past, suite, up
from benchmarks.labs import Bench, bench
from benchmarks.measure import BenchmarkError, say
from benchmarks.table import Row, markdown

Section = Callable[[Bench, int], list[Row]]
RUNS = 5
# In the order in which they run: title, what measures it, runs unless --runs says otherwise.
SECTIONS: dict[str, tuple[str, Section, int]] = {
    "guest": ("Start of a guest", guest_start.measure, RUNS),
    "builders": ("Build of the module", builders.measure, RUNS),
    "up": ("vexlab up", up.measure, RUNS),
    "test": ("vexlab test", suite.measure, RUNS),
    "jobs": (jobs.TITLE, jobs.measure, 1),
    "memory": ("Memory", memory.measure, 1),
    "labs": ("Labs at once", many_labs.measure, RUNS),
    "past": ("Looking back", past.measure, RUNS),
    "image": ("Image", image.measure, 1),
}

WITHOUT_GUEST = ("past", "image")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure vexlab; all sections by default."
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"one or more of: {', '.join(SECTIONS)}")
    parser.add_argument("--runs", type=int, help=f"default: {RUNS}; one for jobs, memory and image")
    given = parser.parse_args()
    if unknown := [name for name in given.sections if name not in SECTIONS]:
        parser.error(f"unknown section {unknown[0]!r}; known: {', '.join(SECTIONS)}")
    if given.runs is not None and given.runs < 1:
        parser.error("--runs is a number from 1 up")
    return given


def main() -> int:
    """Measure; 0 when all was measured, whether goals are reached or not."""
    given = arguments()
    chosen = given.sections or list(SECTIONS)
    tables: list[str] = []
    accelerator = "not used"
    load = machine.load()
    try:
        with bench() as made:
            for name in [name for name in SECTIONS if name in chosen]:
                title, section, runs = SECTIONS[name]
                say(f"--- {title}")
                tables.append(markdown(title, section(made, given.runs or runs)))
                print(tables[-1], file=sys.stderr, flush=True)
                if name not in WITHOUT_GUEST:
                    accelerator = made.prepared["accelerator"]
    except BenchmarkError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    print(f"Measured on {machine.describe(accelerator)}; the load was {load} when it began.\n")
    print("\n".join(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
