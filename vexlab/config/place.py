"""Where in a file something is wrong: line, column, the line itself, and a caret below it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vexlab.errors import UsageProblem

SHOWN = 70  # characters of a line


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a file, in words; `line` and `column` begin at 1, and are 0 where nothing tells."""

    words: str
    line: int = 0
    column: int = 0


def problem(path: Path, text: str, findings: Sequence[Finding], hint: str) -> UsageProblem:
    """All that is wrong in a file, in the order of its lines, as one problem; what has no line comes last."""
    lines = text.splitlines()
    in_order = sorted(findings, key=lambda each: (not each.line, each.line, each.column))
    shown = [_shown(path, lines, each) for each in in_order]
    return UsageProblem("\n".join(dict.fromkeys(shown)), hint)


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known word that somebody may have meant; empty when none is so like it (from 0 to 1)."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=likeness)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question after the known word, as the end of a sentence; empty when none is like it."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def _shown(path: Path, lines: Sequence[str], finding: Finding) -> str:
    place = "".join(f":{number}" for number in (finding.line, finding.column) if number)
    said = f"{path}{place}: {finding.words}"
    if not 0 < finding.line <= len(lines):
        return said
    line, column = _window(lines[finding.line - 1], finding.column - 1)
    return "\n".join([said, f"    {line}", *([f"    {' ' * column}^"] if 0 <= column <= len(line) else [])])


def _window(line: str, column: int) -> tuple[str, int]:
    """What of a line is shown, without its indentation, and the column (from 0) in that; a long line is cut."""
    start = min(len(line) - len(line.lstrip()), max(column, 0))
    if column - start > SHOWN // 2:
        start = column - SHOWN // 2
    end = start + SHOWN
    before, after = "…" * (line[:start].strip() != ""), "…" * (len(line) > end)
    return f"{before}{line[start:end]}{after}", column - start + len(before)
