"""The directory of a stage within that of a run: which checks are chosen, what they write while they run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from vexlab.results import judging, results_file
from vexlab.results.model import Check, Verdict


class Held(Struct, frozen=True):
    """A point at which a check waits for whoever debugs it; vexlab/guest/testing/hold.py says which there are.

    `message` is what a check said that failed, `directory` the one of the guest that it works in, if it has one.
    """

    when: str
    check: str
    message: str = ""
    directory: str = ""


class StageRecord:
    """What the checks of one stage left, read as far as it is there; tests/stages/conftest.py writes it."""

    def __init__(self, run_directory: Path, stage: str) -> None:
        """Name the directory; it may not be there yet."""
        self.directory = run_directory / "stages" / stage

    def choose(self, *, only: Sequence[str], leave_out: Sequence[str]) -> None:
        """Have only some checks run, or some not; the names are those of tests/stages/conftest.py."""
        self.directory.mkdir(parents=True, exist_ok=True)
        choice = {"only": only, "leave_out": leave_out}
        (self.directory / "choice.json").write_text(json.dumps(choice) + "\n")

    def hold(self, *at: str, is_patient: bool) -> None:
        """Have the checks wait at these points; the names are those of vexlab/guest/testing/hold.py."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "hold.json").write_text(json.dumps({"at": at, "is_patient": is_patient}) + "\n")

    @property
    def held_file(self) -> Path:
        """The file that is there as long as a check waits."""
        return self.directory / "held.json"

    def held(self) -> Held | None:
        """Return where a check waits; None when none does."""
        try:
            return msgspec.json.decode(self.held_file.read_bytes(), type=Held)
        except FileNotFoundError:
            return None

    def finished_checks(self) -> tuple[Check, ...]:
        """Return the checks that ended, in their order."""
        return results_file.read_checks(self.directory / "checks.jsonl")

    def counts(self) -> tuple[int, int]:
        """Return how many checks ended, and how many there are to be; 0 of 0 before that is known."""
        return len(self._lines("checks.jsonl")), len(self._lines("planned"))

    def left_out(self) -> int:
        """Return how many checks of the stage were not among those that were chosen."""
        return int("".join(self._lines("left_out")) or 0)

    def taint(self) -> int | None:
        """Return the kernel's taint flags after the checks; None when they weren't read."""
        flags = "".join(self._lines("taint"))
        return int(flags) if flags else None

    def kernel_log(self) -> Path | None:
        """Return what the kernel said in the stage, if that was kept."""
        path = self.directory / "kernel.log"
        return path if path.is_file() else None

    def all_checks(self, interruption: Verdict | None, reason: str, *, is_no_verdict: bool) -> tuple[Check, ...]:
        """Return the checks that ended, the one during which something ended the run, and those not reached.

        `interruption` is the verdict of the second, with its reason; none when nothing came between. Where it was the
        machine that runs the lab (`is_no_verdict`), what the first had said doesn't count.
        """
        checks = self.finished_checks()
        if is_no_verdict and interruption is not None:
            checks = tuple(judging.without_verdict(check, reason) for check in checks)
        if interruption is not None and (running := self._lines("running")):
            checks = (*checks, Check(running[0], interruption, 0.0, reason))
        known = {check.name for check in checks}
        planned = [name for name in self._lines("planned") if name not in known]
        return (*checks, *(Check(name, Verdict.NOT_RUN, 0.0, "it was not reached") for name in planned))

    def _lines(self, name: str) -> list[str]:
        try:
            return [line for line in (self.directory / name).read_text(encoding="utf-8").split("\n") if line.strip()]
        except OSError:
            return []
