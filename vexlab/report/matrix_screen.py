"""What a person sees while a matrix runs: a table that fills on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.live import Live
from rich.table import Table

from vexlab.report import matrix
from vexlab.report.screen import Screen
from vexlab.report.terminal import clock
from vexlab.results.matrix import CellRecord


class MatrixScreen:
    """Shows cells. Everything goes to the console's stream, which is stderr."""

    def __init__(self, console: Screen) -> None:
        """Write to this console."""
        self._console = console
        self.records: Callable[[], Sequence[CellRecord]] = list  # gives what is known of each cell
        self._doing: dict[str, tuple[str, float]] = {}  # what a cell is at, and since when it is at work
        self._live: Live | None = None

    def __enter__(self) -> MatrixScreen:
        """Begin to show."""
        if self._console.is_live:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._render)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def doing(self, cell: CellRecord, words: str) -> None:
        """A cell is at work on something else than before."""
        since = self._doing.get(cell.name, ("", time.monotonic()))[1]
        self._doing[cell.name] = (words, since)
        if self._console.for_programs:
            self._console.event("doing", cell=cell.name, doing=words)
        elif self._live is None:
            self._console.say(f"{matrix.name(cell)}: {words}")

    def ended(self, cell: CellRecord) -> None:
        """A cell is over."""
        self._doing.pop(cell.name, None)
        if self._console.for_programs:
            facts = {"result": matrix.result(cell), "as_expected": cell.as_expected, "reason": matrix.why(cell)}
            self._console.event("cell", cell=cell.name, seconds=cell.found.seconds, **facts)
        elif self._live is None:
            self._console.say(matrix.line(cell))

    def say(self, words: str) -> None:
        """Something that is of no cell."""
        self._console.say(words)

    def tick(self) -> None:
        """Nothing has happened for a moment; what is live is drawn anew by itself."""

    def _render(self) -> Table:
        now = time.monotonic()
        doing = {name: f"{words}, {clock(now - since)}" for name, (words, since) in self._doing.items()}
        return matrix.table(self.records(), doing)
