"""The two standard streams, for people or, line by line in JSON, for programs."""

from __future__ import annotations

import json
import sys
import textwrap
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

NO_END = 100_000  # columns that no line needs


class Screen(Console):
    """Standard output or standard error.

    On a terminal no word is broken: a path that is too long for a line can still be copied. Elsewhere nothing is
    wrapped at all, so that a line is a line for whoever searches it. `for_programs`: nothing but events is written.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """Write to one of the two; whether it is a terminal is asked now."""
        is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
        width, height = (None, None) if is_terminal else (NO_END, 25)
        super().__init__(stderr=stderr, highlight=False, width=width, height=height)
        self.for_programs = False

    @property
    def is_live(self) -> bool:
        """Whether lines can be drawn anew: not where TERM is dumb, nor where nobody looks."""
        return self.is_terminal and not self.is_dumb_terminal and not self.for_programs and not self.quiet

    def say(self, text: str, style: str = "", indent: int = 0, hang: int = 0) -> None:
        """Print text as it is, indented by so many columns; what of a line goes on in the next one by `hang` more."""
        if self.for_programs:
            self.event("say", text=text)
            return
        for line in text.split("\n"):
            for part in self._wrapped(line, indent, hang):
                self._line(Text(" " * indent + part, style))

    def verbatim(self, text: str) -> None:
        """Print lines as they are, however long: a caret in one stands below a certain column of another."""
        if self.for_programs:
            self.event("say", text=text)
            return
        for line in text.splitlines():
            self._line(Text(line))

    def table(self, table: Table) -> None:
        """Print a table; programs were told otherwise. Where nobody looks, no line ends in blanks."""
        if self.for_programs:
            return
        if self.is_terminal:
            self.print(table)
            return
        with self.capture() as captured:
            self.print(table)
        for line in captured.get().splitlines():
            self._line(Text(line.rstrip()))

    def problem(self, message: str, hint: str, exit_code: int) -> None:
        """Print what went wrong and what to do next. Nobody is too quiet for that."""
        if self.for_programs:
            self.event("problem", message=message, hint=hint, exit_code=exit_code)
            return
        self.quiet = False
        first, *rest = (part for line in f"vexlab: {message}".split("\n") for part in self._wrapped(line, 0))
        self._line(Text.assemble((first[:7], "bold red"), first[7:]))
        for part in rest:
            self._line(Text(part))
        for number, part in enumerate(self._wrapped(hint, 4) if hint else []):
            self._line(Text(f"{'    ' if number else '  → '}{part}"))

    def event(self, kind: str, **fields: object) -> None:
        """Write an event for a program, as a line of JSON; nothing on a stream for people."""
        if self.for_programs:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.file.write(json.dumps({"time": time, "event": kind, **fields}, ensure_ascii=False) + "\n")
            self.file.flush()

    def _wrapped(self, line: str, indent: int, hang: int = 0) -> list[str]:
        room = max(20, self.width - indent)
        if len(line) <= room:
            return [line]
        after = " " * hang
        return textwrap.wrap(
            line, room, subsequent_indent=after, break_long_words=False, break_on_hyphens=False
        ) or [""]  # fmt: skip

    def _line(self, text: Text) -> None:
        self.print(text, crop=False, no_wrap=True, overflow="ignore")


stderr = Screen(stderr=True)
stdout = Screen()


def cut(text: str) -> Text:
    """The first line of a text for a table: where the screen ends, it is cut. The whole is in the report."""
    return Text(next(iter(text.splitlines()), ""), no_wrap=True, overflow="ellipsis")
