"""Loads or tests a cell of a matrix in a guest, as `vexlab test` would: the program that a matrix starts for each.

Run as: python -m vexlab.cli.cell, with an order as JSON on standard input. What it is doing, and in the end what it
found, are lines of JSON on standard output. Its lab is there for that alone, and gone afterwards.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vexlab.cli import stages
from vexlab.cli.common import remove_lab, stderr
from vexlab.cli.order import Order as LabOrder
from vexlab.cli.order import outcome, take_order
from vexlab.config import stage_list
from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Options
from vexlab.errors import HostProblem
from vexlab.matrix import answering, worker
from vexlab.matrix.answering import Answer
from vexlab.results import logs
from vexlab.results.matrix import Finding, Tier
from vexlab.results.model import Run, Verdict
from vexlab.run import brought_about, scratch
from vexlab.run.selection import Selection

LOADED = ("load",)  # the stages of tier load, with those that they need


class Order(Struct, frozen=True):
    """What is run: the lab's name and options, the tier, the key of what was built, and the cell's directory."""

    name: str
    options: dict[str, Any]
    tier: Tier
    built: str
    directory: str
    clean: bool = False


class _Relay:
    """A stream that is given vexlab's events, and tells the matrix of each step that begins."""

    def write(self, text: str) -> int:
        """Take lines of JSON."""
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "begin":
                    worker.tell(str(event["step"]))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def perform(order: Order) -> Answer:
    """Run the cell, unless it passed before with all that it was run with; raises VexlabError."""
    directory = Path(order.directory)
    with _alone(directory):
        taken = take_order(order.name, Options(**order.options), as_json=False, verbose=0, as_it_is=True)
        key = hashlib.sha256(json.dumps([order.built, order.tier, taken.inputs.anywhere]).encode()).hexdigest()
        kept = directory / f"{order.tier}.json"
        if not order.clean and (known := answering.kept(kept, Answer)) and known.key == key:
            return msgspec.structs.replace(known, kept=True)
        kept.unlink(missing_ok=True)
        try:
            found = _run(taken, order.tier)
        finally:
            if taken.lab.exists():
                remove_lab(taken.lab)
        answer = Answer(found, key=key)
        if found.verdict is Verdict.PASSED:  # what failed may pass another time
            replace_file(kept, msgspec.json.encode(answer).decode() + "\n")
        return answer


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Have the cell's directory alone, and with it the lab; its own lock is free between two of its commands."""
    directory.mkdir(parents=True, exist_ok=True)
    if answering.is_held(directory):
        worker.tell("waits for another vexlab that has it in a guest")
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _run(taken: LabOrder, tier: Tier) -> Finding:
    chosen = stage_list.stages_for(LOADED if tier is Tier.LOAD else ())
    run = outcome(taken, lambda: stages.run_test(taken, Selection(tuple(chosen)), keep=tier is Tier.LOAD))
    if tier is Tier.LOAD and run.verdict is Verdict.PASSED and (words := _unload(taken)):
        return msgspec.structs.replace(_found(run, tier), verdict=Verdict.FAILED, error=words)
    return _found(run, tier)


def _unload(taken: LabOrder) -> str:
    """Unload what was loaded; why that failed, or nothing."""
    worker.tell("unloading")
    with scratch.directory() as directory:
        done = brought_about.take_down(taken.lab, directory / "ansible.log")
    return "" if done.ok else f"it could not be unloaded: {done.failure.message if done.failure else 'Ansible failed'}"


def _found(run: Run, tier: Tier) -> Finding:
    """What a run says of a cell; one that was cut off has no verdict, and the cell was not tried."""
    if run.verdict is Verdict.NOT_RUN:
        left = next((stage.name for stage in run.stages if stage.verdict is Verdict.NOT_RUN), "")
        problem = f"stage {left} was not run" if left else "no stage was run"
        return Finding(
            tier=tier, release=run.kernel, problem=problem, hint=f"vexlab report {run.run}",
            exit_code=HostProblem.default_exit_code, run=run.run,
        )  # fmt: skip
    culprit = logs.first_wrong(run)
    error = f"stage {culprit.name} {culprit.verdict}: {culprit.reason}" if culprit else ""
    return Finding(
        run.verdict, tier, run.kernel, seconds=round(sum(stage.seconds for stage in run.stages), 1), error=error,
        details=culprit.details if culprit else "", module=run.module, run=run.run,
    )  # fmt: skip


def main() -> int:
    """Do what is ordered, and answer."""
    stderr.for_programs = True
    stderr.file = _Relay()  # type: ignore[assignment]
    return answering.serve(Order, perform)


if __name__ == "__main__":
    sys.exit(main())
