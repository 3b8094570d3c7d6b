"""The errors of a compiler in the log of a build: in its own lines, with the path in the user's tree, each once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SHOWN = 5
"""Errors that are shown; most of the others come of the first one."""

_DIAGNOSTIC = re.compile(r"(?P<path>[^\s:][^:]*):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<kind>[\w ]+): ")
_CONTEXT = re.compile(r"(?P<path>[^\s:][^:]*): (?:In|At) .*:$|In file included from |\s+from \S+:\d+")
_QUOTED = re.compile(r"\s*\d* \| |\s+\|$")  # a line of source, and the caret below it
_PLACE = re.compile(r"(?P<before>In file included from |\s+from |)(?P<path>[^\s:][^:]*)(?=:)")
_ENTERED = re.compile(r"make(?:\[\d+\])?: Entering directory '(.*)'$")


@dataclass(frozen=True)
class CompilerError:
    """One error: its file in the user's tree (as the compiler has it, where it is not there), and all its lines.

    `headline` is the one that says what is wrong.
    """

    file: str
    line: int
    headline: str
    lines: tuple[str, ...]


def find(log: str, build: str, source: Path | None) -> list[CompilerError]:
    """Return the errors in the log of a build, the first one first.

    `build` is the directory in which the copy of the source was built, `source` the user's own tree, if there is one.
    """
    entered = list(dict.fromkeys(found[1] for line in log.splitlines() if (found := _ENTERED.match(line))))
    errors: dict[str, CompilerError] = {}
    for block in _blocks(log.splitlines()):
        lines = tuple(_in_tree(line, build, source, entered) for line in block)
        index = next(index for index, line in enumerate(block) if _is_error(line))
        found = _DIAGNOSTIC.match(block[index])
        if found is not None:
            file = lines[index].removesuffix(block[index][found.end("path") :])
            errors.setdefault(lines[index], CompilerError(file, int(found["line"]), lines[index], lines))
    return list(errors.values())


def shown(errors: Sequence[CompilerError], command: str) -> str:
    """Return the first errors as the compiler told them; `command` shows all."""
    text = "\n".join(line for error in errors[:SHOWN] for line in error.lines)
    return f"{text}\n{SHOWN} of {len(errors)} errors; `{command}` for all" if len(errors) > SHOWN else text


def _is_error(line: str) -> bool:
    found = _DIAGNOSTIC.match(line)
    return found is not None and found["kind"] in ("error", "fatal error")


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of each error: where it is included from and its function, itself, the source, its notes."""
    context: list[str] = []
    block: list[str] = []
    for line in lines:
        found = _DIAGNOSTIC.match(line)
        if block and (_QUOTED.match(line) or (found is not None and found["kind"] == "note")):
            block.append(line)
            continue
        if block:
            yield block
            block = []
        if _is_error(line):
            block, context = [*context, line], []
        elif _CONTEXT.match(line):
            context.append(line)
        else:
            context = []
    if block:
        yield block


def _in_tree(line: str, build: str, source: Path | None, entered: Sequence[str]) -> str:
    """Return a line with its path in the user's tree, if that has such a file."""
    found = _PLACE.match(line)
    if found is None or source is None or _QUOTED.match(line):
        return line
    for directory in ("/", *reversed(entered)):
        path = PurePosixPath(directory, found["path"])
        if path.is_relative_to(build) and (own := source / path.relative_to(build)).is_file():
            return f"{found['before']}{own}{line[found.end() :]}"
    return line
