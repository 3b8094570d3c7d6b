"""What a person sees while a run goes on: a live line per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from vexlab.results.model import Stage, Verdict

STYLES = {
    Verdict.PASSED: ("✔", "green"),
    Verdict.FAILED: ("✘", "bold red"),
    Verdict.PANICKED: ("✘", "bold red"),
    Verdict.HUNG: ("✘", "bold red"),
    Verdict.LOST: ("✘", "bold red"),
    Verdict.SKIPPED: ("-", "yellow"),
    Verdict.XFAILED: ("-", "yellow"),
    Verdict.NOT_RUN: ("·", "dim"),
}
COUNTED = {str(v): v for v in (Verdict.PASSED, Verdict.FAILED, Verdict.XFAILED, Verdict.SKIPPED)}
NO_END = 100_000  # columns that no line needs
PLAIN_EVERY = 30.0  # seconds between two lines about one step, where there is no terminal


class Screen(Console):
    """Standard output or standard error, for people to read.

    On a terminal no word is broken: a path that is too long for a line can still be copied. Elsewhere nothing is
    wrapped at all, so that a line is a line for whoever searches it.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """Write to one of the two; whether it is a terminal is asked now."""
        is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
        width, height = (None, None) if is_terminal else (NO_END, 25)
        super().__init__(stderr=stderr, highlight=False, width=width, height=height)

    def say(self, text: str, style: str = "", indent: int = 0) -> None:
        """Print text as it is, indented by so many columns."""
        for line in text.split("\n"):
            words = textwrap.wrap(line, self.width - indent, break_long_words=False, break_on_hyphens=False) or [""]
            for part in words:
                self.print(Text(" " * indent + part, style), crop=False, no_wrap=True, overflow="ignore")


def clock(seconds: float) -> str:
    """Seconds as people read them: 4.2 s, 1:05."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Steps of a run, one at a time. Everything goes to the console's stream, which is stderr."""

    def __init__(self, console: Console) -> None:
        """Write to this console."""
        self.console = console
        self._step = ""
        self._began = 0.0
        self._detail: Callable[[], str] = str
        self._said = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True, get_renderable=self._render)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def begin(self, step: str, detail: Callable[[], str] = str) -> None:
        """A step begins; `detail` is asked a few times a second how far it is."""
        self._step, self._detail = step, detail
        self._began = self._said = time.monotonic()
        if self._live is None:
            self.console.print(f"{step}: begins", highlight=False, markup=False)

    def tick(self) -> None:
        """Called often while a step runs; without a terminal a line appears now and then."""
        if self._live is None and self._step and time.monotonic() - self._said >= PLAIN_EVERY:
            self._said = time.monotonic()
            detail = self._detail()
            self.console.print(
                f"{self._step}: {clock(self._said - self._began)}{', ' if detail else ''}{detail}",
                highlight=False, markup=False,
            )  # fmt: skip

    def end(self, step: str, note: str = "") -> None:
        """A step that has no verdict ended well."""
        seconds = time.monotonic() - self._began
        self._step = ""
        self.console.print(_line("✔", "green", step, seconds, note))

    def stage(self, stage: Stage) -> None:
        """A stage ended, with its verdict."""
        self._step = ""
        sign, style = STYLES[stage.verdict]
        self.console.print(_line(sign, style, stage.name, stage.seconds, summary(stage)))

    def say(self, text: str) -> None:
        """A remark between steps."""
        self.console.print(text, highlight=False, markup=False)

    def _render(self) -> Text | Spinner:
        if not self._step:
            return Text("")
        line = Text(f"{self._step:<10} {clock(time.monotonic() - self._began):>8}  ")
        line.append(self._detail(), style="dim")
        line.truncate(max(20, self.console.width - 3), overflow="ellipsis")
        return Spinner("line", line)


def summary(stage: Stage) -> str:
    """A stage in a few words: its counts and, when it didn't pass, why."""
    counts = [
        f"{number} {word}"
        for word, verdict in COUNTED.items()
        if (number := sum(check.verdict is verdict for check in stage.checks))
    ]
    verdict = "" if stage.verdict is Verdict.PASSED else f"{stage.verdict}"
    return ", ".join([part for part in (verdict, *counts) if part]) + (f": {stage.reason}" if stage.reason else "")


def _line(sign: str, style: str, step: str, seconds: float, note: str) -> Text:
    line = Text(f"{sign} ", style=style)
    line.append(f"{step:<10} ", style="bold")
    line.append(f"{clock(seconds):>8}  ", style="dim")
    line.append(note)
    return line
