"""A matrix from its cells to its results: tier by tier, as many cells at once as this machine does well."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from vexlab import __version__
from vexlab.config import source_tree, user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.errors import VexlabError
from vexlab.history import matrices
from vexlab.matrix import builder, expectation, shipment, spread, worker
from vexlab.matrix.answering import Answer
from vexlab.matrix.cells import Cell
from vexlab.matrix.schedule import Earlier
from vexlab.matrix.worker import Event, Task
from vexlab.results import matrix
from vexlab.results.matrix import CellRecord, Finding, HostRecord, MatrixRecord, Tier
from vexlab.results.model import Verdict

BUILD_GRACE, GUEST_GRACE, HOST_GRACE = 10.0, 120.0, 90.0  # seconds that an interrupted cell gets to end
BUILDER = "vexlab.matrix.builder"


class Display(Protocol):
    """Who shows it."""

    def doing(self, cell: CellRecord, words: str) -> None:
        """A cell is at work on something else than before."""

    def ended(self, cell: CellRecord) -> None:
        """A cell is over."""

    def say(self, words: str) -> None:
        """Something that is of no cell."""

    def tick(self) -> None:
        """Nothing has happened for a moment."""


@dataclass(frozen=True)
class How:
    """How a matrix is run: the tier, what is told beforehand of cells that can't be tried, and the work in guests.

    `in_guest` gives the task of a cell in a guest, with the key of what was built for it; `guests` are so many at once.
    `on_hosts`: hypervisors do all of it, and this machine nothing.
    """

    tier: Tier
    jobs: int
    clean: bool
    refused: Mapping[str, VexlabError]
    in_guest: Callable[[Cell, str], Task]
    guests: int = 1
    on_hosts: spread.How | None = None


class Matrix:
    """Runs cells and keeps what they come to. Use once."""

    def __init__(self, cells: Sequence[Cell], how: How, directory: Path, display: Display) -> None:
        """Prepare; nothing is run. `directory` gets the results."""
        self._cells = {cell.name: cell for cell in cells}
        self._how = how
        self._directory = directory
        self._display = display
        self._records = {cell.name: cell.record(how.tier) for cell in cells}
        self._keys: dict[str, str] = {}
        self._hosts: tuple[HostRecord, ...] = ()
        self._started, self._began = datetime.now(UTC), time.monotonic()

    @property
    def records(self) -> list[CellRecord]:
        """What is known of each cell, in the order of the cells."""
        return list(self._records.values())

    def run(self) -> MatrixRecord:
        """Run all cells; returns what they came to. What is known is in the directory, whatever ends it before."""
        self._write(finished=False)
        for name, problem in self._how.refused.items():
            self._end(name, _not_tried(problem))
        if self._how.on_hosts is not None:
            self._spread(self._how.on_hosts)
        else:
            self._build()
            if self._how.tier is not Tier.BUILD:
                self._go_on_in_guests()
        return self._write(finished=True)

    def _build(self) -> None:
        cells, sources = self._readable()
        at_once = max(1, min(self._how.jobs, len(cells)))
        jobs = max(1, (os.cpu_count() or 1) // at_once)
        tasks = [
            Task(cell.name, BUILDER, msgspec.json.encode(builder.Order(
                cell.contract, sources[cell.settings.source], str(directory_of(cell.name)), jobs, self._how.clean,
            )))
            for cell in cells
        ]  # fmt: skip
        self._follow(tasks, at_once, BUILD_GRACE, is_last=self._how.tier is Tier.BUILD)

    def _readable(self) -> tuple[list[Cell], dict[str, str]]:
        """The cells that can be tried, and hashes of their sources; the others end."""
        cells = [cell for name, cell in self._cells.items() if name not in self._how.refused]
        hashes: dict[str, str] = {}
        for source in {cell.settings.source for cell in cells}:
            try:
                hashes[source] = source_tree.fingerprint(Path(source)) if source else ""
            except VexlabError as problem:
                for cell in [cell for cell in cells if cell.settings.source == source]:
                    self._end(cell.name, _not_tried(problem))
        return [cell for cell in cells if cell.settings.source in hashes], hashes

    def _spread(self, how: spread.How) -> None:
        """Have hypervisors do the cells; what is at work when all have ended is on hosts that were given up."""
        cells, _ = self._readable()
        if not cells:
            return
        say = self._display.say
        shipped = shipment.of_cells(cells, self._how.tier, say)
        on_hosts = spread.Spread(
            cells, shipped, how, _earlier(self._how.tier), directory=str(self._directory), say=say
        )  # fmt: skip
        with contextlib.closing(worker.follow(on_hosts.following, HOST_GRACE)) as events:
            for event in events:
                if event is None:
                    self._display.tick()
                elif event.doing:
                    self._tell_of_host(*on_hosts.subject(event), event.doing)
                else:
                    self._take_of_hosts(on_hosts, event)
                if on_hosts.is_over:
                    return

    def _tell_of_host(self, host: str, cell: str, doing: str) -> None:
        if cell:
            self._display.doing(self._records[cell], f"{host}: {doing}")
        else:
            self._display.say(f"{host} {doing}")

    def _take_of_hosts(self, on_hosts: spread.Spread, event: Event) -> None:
        ended = on_hosts.take(event)
        self._hosts = on_hosts.records()
        for each in ended:
            self._end(each.cell, each.found, kept=each.kept, host=each.host)

    def _go_on_in_guests(self) -> None:
        """What was built is taken on; what wasn't, or couldn't be tried, has ended."""
        tasks = [
            self._how.in_guest(cell, self._keys[name])
            for name, cell in self._cells.items() if self._records[name].found.verdict is Verdict.PASSED
        ]  # fmt: skip
        self._follow(tasks, self._how.guests, GUEST_GRACE, is_last=True)

    def _follow(self, tasks: Sequence[Task], at_once: int, grace: float, *, is_last: bool) -> None:
        with contextlib.closing(worker.run(tasks, at_once, grace)) as events:
            for event in events:
                if event is None:
                    self._display.tick()
                elif event.doing:
                    self._display.doing(self._records[event.name], event.doing)
                else:
                    self._take(event, is_last=is_last)

    def _take(self, event: Event, *, is_last: bool) -> None:
        """Take what a cell found; `is_last`: no tier follows, even if it passed."""
        if event.answer is None:
            self._end(event.name, Finding(problem=event.failure, hint="run it alone to see more", exit_code=3))
            return
        answer = msgspec.convert(event.answer, Answer)
        self._keys[event.name] = answer.key
        if answer.found.verdict is Verdict.PASSED and not is_last:
            self._records[event.name] = replace(self._records[event.name], found=answer.found)
            self._display.doing(self._records[event.name], "built; waits for a guest")
        else:
            self._end(event.name, answer.found, kept=answer.kept)

    def _end(self, name: str, found: Finding, *, kept: bool = False, host: str = "") -> None:
        """A cell is over: compare it with what was expected, and keep it."""
        cell = self._cells[name]
        expected = expectation.of_cell(
            cell.contract["vexlab_expected"], self._how.tier, cell.variant, found.release
        )  # fmt: skip
        record = replace(
            self._records[name], expected=str(expected), as_expected=expected.is_met(found), found=found, kept=kept,
            host=host, unexpected=expectation.difference(expected, found),
        )  # fmt: skip
        self._records[name] = record
        replace_file(self._directory / f"{name}.json", matrix.encode(record))
        log = directory_of(name) / builder.WORK / "build.log"
        if not self._how.on_hosts and log.is_file():
            shutil.copyfile(log, self._directory / f"{name}.log")
        self._write(finished=False)
        self._display.ended(record)

    def _write(self, *, finished: bool) -> MatrixRecord:
        cells = tuple(self._records.values())
        record = MatrixRecord(
            name=self._directory.name, tier=self._how.tier, vexlab=__version__,
            started=self._started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds") if finished else "",
            seconds=round(time.monotonic() - self._began, 1), cpus=os.cpu_count() or 1,
            as_expected=all(cell.as_expected for cell in cells), cells=cells,
            hosts=self._hosts,
        )  # fmt: skip
        replace_file(self._directory / matrix.RESULTS, matrix.encode(record))
        return record


def directory_of(cell: str) -> Path:
    """Where a cell keeps what was built and found last."""
    return user_directories.cells_directory() / cell


def _not_tried(problem: VexlabError) -> Finding:
    return Finding(problem=problem.message, hint=problem.hint, exit_code=problem.exit_code)


def _earlier(tier: Tier) -> dict[str, Earlier]:
    """How long each cell took when it was run last, and where."""
    return {
        cell.name: Earlier(cell.found.seconds, cell.host)
        for record in matrices.ended() if record.tier is tier
        for cell in record.cells if cell.found.verdict is not Verdict.NOT_RUN
    }  # fmt: skip
