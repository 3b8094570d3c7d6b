"""Where in a file something is wrong: line, column, the line itself, and a caret below it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vexlab.errors import UsageProblem


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a file, in words; `line` and `column` begin at 1, and are 0 where nothing tells."""

    words: str
    line: int = 0
    column: int = 0


def problem(path: Path, text: str, findings: Sequence[Finding], hint: str) -> UsageProblem:
    """All that is wrong in a file, in the order of its lines, as one problem."""
    lines = text.splitlines()
    shown = [_shown(path, lines, each) for each in sorted(findings, key=lambda each: (each.line, each.column))]
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
    line = lines[finding.line - 1]
    caret = " " * (finding.column - 1) + "^" if 0 < finding.column <= len(line) + 1 else ""
    indent = len(line) - len(line.lstrip())
    return "\n".join([said, f"    {line[indent:]}", *([f"    {caret[indent:]}"] if caret[indent:] else [])])
