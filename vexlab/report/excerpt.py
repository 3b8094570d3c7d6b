"""The lines around a place in the module's source, or in the checks, as they are now; said so where they changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vexlab.config import installation, suite_hash
from vexlab.report.text import place_of
from vexlab.results.model import Check, Run

AROUND = 5  # lines before and after a place
FUNCTION = 30  # lines of a check, from where it begins
HELPERS = ("inside/filesystem.py", "inside/system.py")  # what they were called from tells more
SOURCES = (".c", ".h", ".rs", ".S", ".cc", ".cpp", ".hpp", ".py")  # nothing else is read: what names it is a guest
LARGEST = 4_000_000  # bytes of a file that is read
_PLACE = re.compile(r"\(([\w./+-]+):(\d+)\)")


@dataclass(frozen=True)
class Line:
    """A line of a source file; `here`: it is the one that is meant."""

    number: int
    text: str
    here: bool


@dataclass(frozen=True)
class Excerpt:
    """A place as people write it, the lines around it (none where they can't be had), and what to know of them."""

    place: str
    lines: tuple[Line, ...] = ()
    note: str = ""


class Sources:
    """The files that a run was about: the module's source on this machine, and vexlab's own checks."""

    def __init__(self, run: Run, source: str) -> None:
        """Remember where they are; `source` is the directory of the module's source, empty without one."""
        self._run = run
        self._source = Path(source) if source else None

    def of_words(self, words: str) -> Excerpt | None:
        """Return the lines around the first place of the source that a message names; None if it names none."""
        for name, line in _places(words):
            if not name.startswith("inside/") and name.endswith(SOURCES):
                if self._source is None:
                    return Excerpt(f"{name}:{line}", note="its source is not here")
                return _excerpt(name, line, self._source, self._written(self._source, name))
        return None

    def of_check(self, check: Check) -> Excerpt | None:
        """Return a check, or the lines around the place in the guest that its message names; None if nothing tells."""
        root = installation.root()
        called = [place for place in _places(check.message) if place[0].startswith("inside/")]
        inside = next((place for place in reversed(called) if place[0] not in HELPERS), None)
        found = (f"tests/guest/{inside[0]}", inside[1]) if inside else place_of(check.place, "")
        if found is None:
            return None
        changed = "" if self._run.suite == suite_hash.suite() else "the checks are of another version than the run's"
        return _excerpt(*found, root, changed, whole=inside is None)

    def names_a_place(self, line: str) -> bool:
        """Whether a line of a trace has a place of the source behind its function."""
        return _PLACE.search(line) is not None

    def _written(self, root: Path, name: str) -> str:
        """Say that a file was written since the run began, as far as its time stamps tell."""
        try:
            began = datetime.fromisoformat(self._run.started).timestamp()
            changed = (root / name).stat().st_mtime > began
        except (OSError, ValueError):
            return ""
        return "the file was written after this run began, so this may be another line" if changed else ""


def _places(words: str) -> Iterator[tuple[str, int]]:
    """Yield the places that a message names, in their order: where a compiler was, and those in brackets."""
    if compiled := place_of("", words):
        yield compiled
    for found in _PLACE.finditer(words[:20_000]):
        yield found[1], int(found[2][:9])


def _excerpt(name: str, line: int, root: Path, note: str, *, whole: bool = False) -> Excerpt:
    """Return lines of a file below a directory; nothing of one that is outside of it, however it is named.

    `whole`: the function that begins at the line, instead of what is around it.
    """
    place = f"{name}:{line}"
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or path.suffix not in SOURCES:
        return Excerpt(place, note="it is outside of the source")
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return Excerpt(place, note=f"{path} is gone" if not path.exists() else f"{path} is no file to be read")
        texts = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as problem:
        return Excerpt(place, note=f"{path} can't be read: {problem.strerror}")
    if not 1 <= line <= len(texts):
        return Excerpt(place, note=f"{path} has no such line any more: it was changed since")
    first, last = (line, _end_of_function(texts, line)) if whole else (max(1, line - AROUND), line + AROUND)
    shown = enumerate(texts[first - 1 : last], start=first)
    if whole:
        return Excerpt(place, tuple(Line(number, text, here=False) for number, text in shown), note)
    return Excerpt(place, tuple(Line(number, text, number == line) for number, text in shown), note)


def _end_of_function(texts: list[str], line: int) -> int:
    """Return the number of the last line of a function of the checks, which two empty lines follow."""
    end = next((at for at in range(line, len(texts) - 1) if not texts[at].strip() and not texts[at + 1].strip()), line)
    return min(end, line + FUNCTION)
