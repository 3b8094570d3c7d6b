"""What a person sees while a run goes on: a live line per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from vexlab.report.screen import Screen
from vexlab.results.causes import causes
from vexlab.results.model import DIED, Check, Stage, Verdict

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
MOST = 5  # causes, and names of checks of one, that are shown of a stage
PLAIN_EVERY = 30.0  # seconds between two lines about one step, where there is no terminal
LONG = 20.0  # seconds after which a person wonders whether a step goes on


def clock(seconds: float) -> str:
    """Seconds as people read them: 4.2 s, 1:05."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def age(moment: str) -> str:
    """How long ago a moment was, ISO 8601 with an offset, in its largest unit; empty when it can't be read."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (ValueError, TypeError):
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def fitting(text: str, columns: int) -> str:
    """A text in so many columns at most; the cut is between two words, if there are any, and … marks it."""
    between_words = textwrap.shorten(text, max(1, columns), placeholder=" …")
    return between_words if between_words.strip(" …") or not text else f"{text[: max(0, columns - 1)]}…"


class Progress:
    """Steps of a run, one at a time. Everything goes to the console's stream, which is stderr."""

    def __init__(self, console: Screen, *, follows: bool = False) -> None:
        """Write to this console; `follows`: what is written to a log that is named is shown at once."""
        self.console = console
        self._step = ""
        self._began = 0.0
        self._detail: Callable[[], str] = str
        self._said = 0.0
        self._known = ""  # the detail when it was last another one
        self._since = 0.0  # when that was
        self._follows = follows
        self._log: Path | None = None
        self._read = 0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self.console.is_live:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True, get_renderable=self._render)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._show_log()
        if self._live is not None:
            self._live.stop()

    def begin(self, step: str, detail: Callable[[], str] = str) -> None:
        """A step begins; `detail` is asked a few times a second how far it is."""
        self.wait_for(step, detail)
        if self.console.for_programs:
            self.console.event("begin", step=step)
        elif self._live is None:
            self.console.say(f"{step}: begins")

    def wait_for(self, step: str, detail: Callable[[], str] = str) -> None:
        """A step begins that is over in a moment, mostly: without a terminal it is named when it takes long."""
        self._step, self._detail = step, detail
        self._began = self._since = time.monotonic()
        self._said = self._began - PLAIN_EVERY + LONG
        self._known = ""

    def follow(self, log: Path) -> None:
        """Show what is written to a log from now on, if that was asked for."""
        self._show_log()
        self._log, self._read = log, log.stat().st_size if log.is_file() else 0

    def tick(self) -> None:
        """Called often while a step runs; without a terminal a line appears now and then."""
        self._show_log()
        now = time.monotonic()
        if self._live is not None or not self._step or now - self._said < PLAIN_EVERY:
            return
        self._said = now
        detail, seconds = self._told(now), now - self._began
        if self.console.for_programs:
            self.console.event("runs", step=self._step, seconds=round(seconds, 1), detail=detail)
        else:
            self.console.say(f"{self._step}: {clock(seconds)}{', ' if detail else ''}{detail}")

    def end(self, step: str, note: str = "") -> None:
        """A step that has no verdict ended well."""
        seconds = time.monotonic() - self._began
        self._step = ""
        self.console.event("end", step=step, seconds=round(seconds, 1), note=note)
        self._print(_line("✔", "green", step, seconds, note))

    def stage(self, stage: Stage) -> None:
        """A stage ended, with its verdict."""
        self._step = ""
        facts = {"verdict": stage.verdict, "seconds": stage.seconds, "reason": stage.reason}
        self.console.event("stage", stage=stage.name, **facts)
        sign, style = STYLES[stage.verdict]
        whole, short, shortest = (
            _line(sign, style, stage.name, stage.seconds, note)
            for note in (summary(stage), outcome(stage), str(stage.verdict))
        )
        below = []  # the cause is what people wait for, so the end of the line must not take it
        if not self.console.for_programs and whole.cell_len > self.console.width:
            below = [reason(stage)] if short.cell_len <= self.console.width else [counts(stage), reason(stage)]
            whole = short if len(below) == 1 else shortest
        self._print(whole)
        for line in below:
            self.console.say(line, indent=2)
        for cause in further(stage):
            self.console.say(cause, style="dim", indent=2)

    def part(self, stage: Stage) -> None:
        """What this guest judges of a stage is judged; other guests judge the rest, and the verdict comes with that."""
        self._step = ""
        note = f"in this guest: {summary(stage)}"
        self.console.event("end", step=stage.name, seconds=stage.seconds, note=note)
        self._print(_line(*STYLES[stage.verdict], stage.name, stage.seconds, note))

    def say(self, text: str) -> None:
        """A remark between steps."""
        self.console.say(text)

    def _print(self, line: Text) -> None:
        """Print the line of a step that is over; where the screen ends, it is cut."""
        if not self.console.for_programs:
            self.console.print(line, no_wrap=True, overflow="ellipsis")

    def _told(self, now: float, room: int = 0) -> str:
        """How far the step is; that it waits for nobody, where it has had nothing new to say for long.

        `room`: columns that there are for it. How far the step is gives way.
        """
        detail = self._detail()
        if detail != self._known:
            self._known, self._since = detail, now
        end = "it needs no input" if now - self._since >= LONG else ""
        if room and detail:
            detail = fitting(detail, room - (len(end) + 2 if end else 0))
        return ", ".join(filter(None, (detail, end)))

    def _show_log(self) -> None:
        """Show what was written to the log meanwhile."""
        if not self._follows or self._log is None or not self._log.is_file():
            return
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        for line in text.splitlines():
            self.console.say(line, style="dim")

    def _render(self) -> Text | Spinner:
        if not self._step:
            return Text("")
        now = time.monotonic()
        line = Text(f"{self._step:<10} {clock(now - self._began):>8}  ")
        columns = max(20, self.console.width - 3)
        line.append(self._told(now, max(1, columns - len(line))), style="dim")
        line.truncate(columns, overflow="ellipsis")
        return Spinner("line", line)


def summary(stage: Stage) -> str:
    """A stage in a few words: its counts and, when it didn't pass, why."""
    why = reason(stage)
    return outcome(stage) + (f": {why}" if why else "")


def outcome(stage: Stage) -> str:
    """The verdict of a stage, if it didn't pass, and its counts."""
    verdict = "" if stage.verdict is Verdict.PASSED else str(stage.verdict)
    return ", ".join(filter(None, (verdict, counts(stage))))


def reason(stage: Stage) -> str:
    """Why a stage did not pass, for a line of it; what is shown at length afterwards is not said before."""
    return "its errors are below" if stage.details else stage.reason


def counts(stage: Stage) -> str:
    """Return how many checks of a stage came to what: 7 passed, 1 skipped; those that were not reached too."""
    words = {verdict: str(verdict).replace("_", " ") for verdict in Verdict} | dict.fromkeys(DIED, "died")
    numbers = Counter(words[check.verdict] for check in stage.checks)
    return ", ".join(f"{numbers[word]} {word}" for word in dict.fromkeys(words.values()) if numbers[word])


def further(stage: Stage) -> list[str]:
    """What else went wrong in a stage than its first cause, a line for each cause, and who shares the first one."""
    found = causes([check for check in stage.checks if check.verdict is not Verdict.NOT_RUN])
    if not found:
        return []
    first, *others = found
    lines = [f"as well: {_listed(first.others)}"] if first.others else []
    lines += [cause.line + (f" ({_listed(cause.others)})" if cause.others else "") for cause in others[:MOST]]
    return lines + ([f"and {len(others) - MOST} further causes: vexlab report"] if len(others) > MOST else [])


def _listed(checks: Sequence[Check]) -> str:
    """Names of checks, the first few of many."""
    more = f" and {len(checks) - MOST} more" if len(checks) > MOST else ""
    return ", ".join(check.name for check in checks[:MOST]) + more


def _line(sign: str, style: str, step: str, seconds: float, note: str) -> Text:
    line = Text(f"{sign} ", style=style)
    line.append(f"{step:<10} ", style="bold")
    line.append(f"{clock(seconds):>8}  ", style="dim")
    line.append(note)
    return line
