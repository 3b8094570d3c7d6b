"""Text from a guest, made fit to be shown."""

from __future__ import annotations

import re

from vexlab.results.model import Verdict

_LONGEST = 2_000
"""Characters that a report shows of one line; results.json has all of it."""
_MESSAGE_LINES = 40
"""Lines of a failed check's message that the Markdown report shows; results.json has them all."""

# What a terminal takes for orders: colours and the like, and titles of windows.
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
# What neither XML nor a reader can take: control characters, halves of characters, what turns the direction of writing.
_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_QUIET = (Verdict.PASSED, Verdict.SKIPPED, Verdict.XFAILED, Verdict.NOT_RUN)


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _COLOUR.sub("", text.replace("\r\n", "\n")))


def bounded(text: object, most: int, lines: int = 0, rest: str = "the whole is in results.json") -> str:
    """Return as much of a text as a reader will read, clean: so many characters, and lines unless it is 0.

    `rest` says where the whole is, where something was cut off; empty where a reader sees that at once.
    """
    whole = str(text)
    shown, note = _clean(whole[:most]), ""
    if len(whole) > most:
        note = f" … {len(whole) - most} more characters; {rest}" if rest else "…"
    if lines and shown.count("\n") >= lines:
        shown = "\n".join(shown.split("\n", lines)[:lines])
        note = f"\n… {whole.count(chr(10)) + 1 - lines} more lines; {rest}"
    return shown + note


def cell(text: object) -> str:
    """Return text for a table cell or a place in a line: one line, nothing that Markdown or HTML would act on."""
    return re.sub(r"([\\|`*<>\[\]])", r"\\\1", " ".join(bounded(text, _LONGEST).split()))


def code(text: object) -> str:
    """Return text as a code span for a table cell; a dash when there is none."""
    line = " ".join(bounded(text, _LONGEST).split())
    if not line:
        return "-"
    ticks = "`" * (_longest_ticks(line) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|")


def fence(text: str, rest: str = "are in results.json") -> str:
    """Return text as a code block that nothing in it can end, cut to a length that a reader will read.

    `rest`: where the lines are that are cut off, as the end of a sentence.
    """
    first, *more = text.strip("\n").split("\n", _MESSAGE_LINES)
    lines = [bounded(line, _LONGEST) for line in [first, *more[: _MESSAGE_LINES - 1]]]
    if not text.strip("\n"):
        lines = ["(no message)"]
    if len(more) == _MESSAGE_LINES:
        lines.append(f"... {more[-1].count(chr(10)) + 1} more lines {rest}")
    ticks = "`" * max(3, max(map(_longest_ticks, lines)) + 1)
    return "\n".join([f"{ticks}text", *lines, ticks])


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


_FRAME = re.compile(r" \(([^\s():]+\.[chS]):(\d+)\)")  # as the trace of a death has it behind a function of the module
_COMPILER = re.compile(r"([^\s:][^:]*):(\d+):(?:\d+:)? (?:fatal )?error: ")


def place_of(check_place: str, reason: str) -> tuple[str, int] | None:
    """Return file and line to look at: where a compiler found an error, else where the check is; None without any."""
    found = _COMPILER.match(reason) or re.fullmatch(r"(.+):(\d+)", check_place)
    return (found[1], int(found[2])) if found else None


def place_in_source(reason: str) -> tuple[str, int] | None:
    """Return file and line of the module's source that a death is told with, relative to the source; None without."""
    found = _FRAME.search(reason)
    return (found[1], int(found[2])) if found else None
