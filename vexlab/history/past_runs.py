"""What is known of the runs that there were, and the questions that the index answers."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from vexlab.history.outcomes import FAILS, JUDGED, printable
from vexlab.results import logs
from vexlab.results.archive import Unreadable
from vexlab.results.model import WRONG, Run, Verdict


@dataclass(frozen=True)
class PastRun:
    """A run as the index has it: who and when, what it came to, and what it was a run of.

    `cause` is the first one, `wrong` how many checks went wrong in each stage, -1 in one that was not run.
    `conditions` tells how long things may take: machine and amounts. `sha256` is that of its results.
    """

    name: str
    lab: str
    target: str
    verdict: Verdict
    started: str
    finished: str
    cause: str
    wrong: dict[str, int]
    module: str
    kernel: str
    suite: str
    conditions: str
    debug: str
    commit: str
    branch: str
    sha256: str

    @property
    def same(self) -> tuple[str, str, str, str] | None:
        """What two runs share that ran the same module on the same kernel, judged alike; None without a module."""
        return (self.module, self.kernel, self.debug, self.suite) if self.module and self.kernel else None


_FIELDS = [field.name for field in dataclasses.fields(PastRun)][1:]
COLUMNS = tuple(f"of_{name}" for name in _FIELDS)  # `commit` is a word of SQL


@dataclass(frozen=True)
class Outcome:
    """What a check came to in a run; `words` is what it said when it failed."""

    check: str
    run: str
    verdict: Verdict
    seconds: float
    words: str


@dataclass(frozen=True)
class Tally:
    """How often a check was judged in some runs, and how often it failed."""

    failed: int = 0
    judged: int = 0


def facts(run: Run, lab: str, sha256: str) -> dict[str, str]:
    """Return the columns of a run."""
    first = logs.first_wrong(run)
    known = {
        "lab": lab, "target": run.target, "verdict": run.verdict,
        "started": run.started, "finished": run.finished or "",
        "cause": f"{first.name}: {first.verdict}: {first.reason}" if first else "", "wrong": json.dumps(_wrong(run)),
        "module": run.module.sha256 if run.module else "", "kernel": run.kernel, "suite": run.suite,
        "conditions": conditions(run), "debug": _debug(run), "commit": run.source.commit if run.source else "",
        "branch": run.source.branch if run.source else "", "sha256": sha256,
    }  # fmt: skip
    return {f"of_{name}": printable(str(value)) for name, value in known.items()}


def conditions(run: Run) -> str:
    """What besides kernel and module decides how long checks take; the seed of what is random doesn't."""
    guest = [run.guest.accelerator, run.guest.cpus, run.guest.memory_mb] if run.guest else []
    amounts = msgspec.to_builtins(run.amounts) if run.amounts else {}
    return json.dumps([run.target, run.machine, guest, {**amounts, "seed": 0}, _debug(run)])


def _debug(run: Run) -> str:
    """How hard the kernel looked for mistakes."""
    return run.contract.debug if run.contract else "none"


def _wrong(run: Run) -> dict[str, int]:
    """How many checks went wrong in each stage; a stage that did so without a check counts as one."""
    found = {}
    for stage in run.stages:
        count = sum(check.verdict in WRONG for check in stage.checks)
        found[stage.name] = max(count, int(stage.verdict in WRONG))
        if stage.verdict in (Verdict.NOT_RUN, Verdict.SKIPPED) and not count:
            found[stage.name] = -1
    return found


class PastRuns:
    """The questions; each is answered by one statement. Where names of runs are asked for, order is that of time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Ask this database, which is up to date."""
        self._connection = connection

    def runs(self, lab: str | None = None) -> list[PastRun]:
        """The runs that can be read, of one lab or of all, the oldest first."""
        columns = ", ".join(("name", *COLUMNS))
        query = f"SELECT {columns} FROM run WHERE unreadable = '' ORDER BY name"  # noqa: S608  constants
        found = (dict(zip(("name", *_FIELDS), row, strict=True)) for row in self._connection.execute(query))
        return [
            PastRun(**{**each, "verdict": Verdict(each["verdict"]), "wrong": json.loads(each["wrong"])})
            for each in found
            if lab is None or each["lab"] == lab
        ]

    def unreadable(self) -> list[Unreadable]:
        """The runs that can't be read, and why."""
        rows = self._connection.execute("SELECT name, unreadable FROM run WHERE unreadable != '' ORDER BY name")
        return [Unreadable(*row) for row in rows]

    def checks(self) -> list[str]:
        """The names of all checks that some run has."""
        query = "SELECT name FROM name WHERE EXISTS (SELECT 1 FROM outcome WHERE outcome.name = name.id) ORDER BY id"
        return [name for (name,) in self._connection.execute(query)]

    def history(self, checks: Sequence[str], runs: Iterable[str]) -> list[Outcome]:
        """What checks came to in runs, check by check, the oldest run first."""
        rows = self._connection.execute(
            "SELECT name.name, run.name, outcome.verdict, outcome.seconds, outcome.words FROM name"
            " JOIN outcome ON outcome.name = name.id JOIN run ON run.id = outcome.run"
            " WHERE name.name IN (SELECT value FROM json_each(?)) AND run.name IN (SELECT value FROM json_each(?))"
            " ORDER BY name.id, run.name",
            [json.dumps(list(checks)), json.dumps(list(runs))],
        )
        return [Outcome(check, run, Verdict(verdict), *rest) for check, run, verdict, *rest in rows]

    def tallies(self, checks: Sequence[str], runs: Iterable[str]) -> dict[str, Tally]:
        """How often each of these checks failed in these runs."""
        found: dict[str, Tally] = {}
        for each in self.history(checks, runs):
            if each.verdict in JUDGED:
                known = found.get(each.check, Tally())
                found[each.check] = Tally(known.failed + (each.verdict in FAILS), known.judged + 1)
        return found

    def times(self, runs: Sequence[str]) -> dict[str, list[float]]:
        """The seconds that each check took in these runs, as far as it passed."""
        rows = self._connection.execute(
            "SELECT name.name, outcome.seconds FROM outcome JOIN name ON name.id = outcome.name"
            " WHERE outcome.verdict = 'passed' AND outcome.run IN"
            " (SELECT id FROM run WHERE name IN (SELECT value FROM json_each(?)))",
            [json.dumps(list(runs))],
        )
        found: dict[str, list[float]] = {}
        for name, seconds in rows:
            found.setdefault(name, []).append(seconds)
        return found
