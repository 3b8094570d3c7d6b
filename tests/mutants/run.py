"""Runs mutants and prints what became of each.

Usage: run.py [NAME…], by default all; each in a pristine guest. Exits with 1 unless each is caught by what it should be.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue
from tests.mutants.catalogue import Judgement, Mutant

LAB = "mutant"


def run(vexlab: Vexlab, mutant: Mutant) -> Judgement:
    """Plant it, run the stages that lead to the one that must catch it, and judge."""
    source = vexlab.home / "source"
    mutant.plant(source)
    done = vexlab(*mutant.arguments, "--source", str(source), "--name", LAB, "--json")
    if done.code not in (0, 1):
        return Judgement("not judged", done.stderr.strip()[-300:])
    return catalogue.judge(mutant, done.document["stages"])


def main(names: list[str]) -> int:
    """Run those that were named, or all."""
    mutants = [mutant for mutant in catalogue.load() if not names or mutant.name in names]
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        print(f"unknown: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    home = Path(tempfile.mkdtemp(prefix="vexlab-mutants-"))
    vexlab = Vexlab(home)
    table: list[tuple[Mutant, Judgement, float]] = []
    try:
        for mutant in mutants:
            began = time.monotonic()
            table.append((mutant, run(vexlab, mutant), time.monotonic() - began))
            show(*table[-1])
    finally:
        vexlab.end()
        print()
        for line in table:
            show(*line)
    wrong = sum(judgement.outcome != "caught" for _, judgement, _ in table)
    counts = {outcome: sum(j.outcome == outcome for _, j, _ in table) for outcome in ("caught", "caught elsewhere",
              "survived", "not judged")}  # fmt: skip
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if wrong:
        print(f"their runs: {vexlab.runs}")
    else:
        shutil.rmtree(home)
    return 1 if wrong else 0


def show(mutant: Mutant, judgement: Judgement, seconds: float) -> None:
    """Print one line of the table."""
    expected = f"{mutant.stage} {mutant.verdict} {mutant.check}"
    print(f"{mutant.name:<28} {judgement.outcome:<17} {seconds:5.0f} s  {expected}  {judgement.detail}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
