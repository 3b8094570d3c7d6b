"""Reads a Makefile as text. Running make would run what the tree says, on this machine.

Not seen: which branch of a conditional is taken (all of them are read), what `$(shell …)`, `$(wildcard …)` and other
functions give, what `define` and `eval` make.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

LONGEST = 1 << 16  # characters of an expanded value: each line of a Makefile can double one
DEEPEST = 20  # references within references
_ASSIGNMENT = re.compile(r"(?:(?:export|override|private)\s+)*([^\s:#=?+!]+)\s*(\?=|\+=|:{0,3}=)\s*(.*)")
_RULE = re.compile(r"([^:=\t]+?)\s*::?(?!=)\s*(.*)")
_EMPTY = re.compile(r"ifndef\s+(\w+)|ifeq\s*\(\s*(?:\$[({](\w+)[)}]\s*,\s*|,\s*\$[({](\w+)[)}]\s*)\)")
_ERROR = re.compile(r"\$\(error\s+([^)]*)")
_COMMENT = re.compile(r"\\#|#.*")
_REFERENCE = re.compile(r"\$(?:\(([^()${}]*)\)|\{([^()${}]*)\}|([A-Za-z0-9_@<^?*]))")
_SUBSTITUTION = re.compile(r"(\w+):([^=%]*)=([^=%]*)")


@dataclass(frozen=True)
class Assignment:
    """One line that gives a variable a value; `name` and `value` as they are written."""

    name: str
    operator: str
    value: str
    line: int


@dataclass(frozen=True)
class Rule:
    """One target with its prerequisites and the lines of its recipe, each with its line number."""

    target: str
    prerequisites: str
    recipe: list[tuple[int, str]]
    line: int


@dataclass(frozen=True)
class Demand:
    """A variable without which the Makefile stops, and what it says then."""

    variable: str
    path: str
    line: int
    words: str


@dataclass(frozen=True)
class Makefile:
    """What one file says; `path` is relative to the root of the tree."""

    path: str
    assignments: list[Assignment] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    demands: list[Demand] = field(default_factory=list)

    @property
    def directory(self) -> str:
        """Its directory, relative to the root of the tree; empty for the root."""
        return self.path.rpartition("/")[0]

    def goal(self) -> str:
        """Name of what plain `make` builds, as it is written; empty when there is none."""
        names = (rule.target for rule in self.rules)
        return next((name for name in names if name[0] != "." and "%" not in name), "")


def parse(path: str, text: str) -> Makefile:
    """Read the text of a Makefile; a line that is none of what is known here is passed over."""
    makefile = Makefile(path)
    conditions: list[str] = []
    recipe: list[tuple[int, str]] | None = None
    defining = False
    for number, raw in _logical_lines(text):
        if defining or raw.lstrip().startswith("define "):
            defining = not raw.lstrip().startswith("endef")
        elif raw.startswith("\t") and recipe is not None:
            recipe.append((number, raw.strip()))
        else:
            line = " ".join(_COMMENT.sub(lambda found: "#" if found[0] == "\\#" else "", raw).split())
            if line and not _is_condition(line, conditions):
                recipe = _take(makefile, number, line, conditions, recipe)
    return makefile


def _take(
    makefile: Makefile, number: int, line: str, conditions: list[str], recipe: list[tuple[int, str]] | None
) -> list[tuple[int, str]] | None:
    """Add what one line says; returns the recipe that the lines after it go to."""
    if error := _ERROR.match(line):
        empty = _EMPTY.fullmatch(conditions[-1]) if conditions else None
        if empty:
            makefile.demands.append(Demand(next(filter(None, empty.groups())), makefile.path, number, error[1].strip()))
    elif assignment := _ASSIGNMENT.fullmatch(line):
        makefile.assignments.append(Assignment(assignment[1], assignment[2], assignment[3].strip(), number))
        return None
    elif rule := _RULE.fullmatch(line):
        needs, _, first = rule[2].partition(";")
        recipe = [(number, first.strip())] if first.strip() else []
        for target, prerequisites in _targets(rule[1], needs):
            makefile.rules.append(Rule(target, prerequisites, recipe, number))
    return recipe


def variables(makefiles: Iterable[Makefile]) -> dict[str, str]:
    """What each variable is after these files were read one after the other, unexpanded."""
    values: dict[str, str] = {}
    for makefile in makefiles:
        for one in makefile.assignments:
            name = expand(one.name, values)
            if one.operator == "+=":
                values[name] = f"{values.get(name, '')} {one.value}".strip()[:LONGEST]
            elif one.operator != "?=" or name not in values:
                values[name] = one.value
    return values


def expand(text: str, values: dict[str, str]) -> str:
    """Put values into a text; what can't be known stays as the reference that it is, with its `$`."""
    unknown: list[str] = []

    def value_of(found: re.Match[str]) -> str:
        name = next(part for part in found.groups() if part is not None)
        substitution = _SUBSTITUTION.fullmatch(name)
        if substitution and substitution[1] in values:
            old, new = substitution[2], substitution[3]
            words = values[substitution[1]].split()
            return " ".join(word[: len(word) - len(old)] + new if word.endswith(old) else word for word in words)
        if name in values:
            return values[name]
        unknown.append(found[0])
        return f"\0{len(unknown) - 1}\0"

    for _ in range(DEEPEST):
        expanded = _REFERENCE.sub(value_of, text)[:LONGEST]
        if expanded == text:
            break
        text = expanded
    for _ in range(DEEPEST):  # an unknown one can hold others
        if "\0" not in text:
            break
        text = re.sub(r"\0(\d+)\0", lambda found: unknown[int(found[1])], text)[:LONGEST]
    return text.strip()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line, with those that a backslash continues it on, and the number of its first."""
    parts: list[str] = []
    start = 1
    for number, line in enumerate(text.replace("\0", "").splitlines(), 1):
        start = start if parts else number
        continued = line.endswith("\\")
        parts.append(line[:-1] if continued else line)
        if not continued:
            yield start, " ".join(parts) if len(parts) > 1 else line
            parts = []
    if parts:
        yield start, " ".join(parts)


def _is_condition(line: str, conditions: list[str]) -> bool:
    """Whether a line begins, turns or ends a conditional; keeps which ones are open."""
    word = line.split(maxsplit=1)[0].partition("(")[0]
    if word in ("ifeq", "ifneq", "ifdef", "ifndef"):
        conditions.append(line)
    elif word == "else" and conditions:
        conditions[-1] = line.removeprefix("else").strip()
    elif word == "endif" and conditions:
        conditions.pop()
    return word in ("ifeq", "ifneq", "ifdef", "ifndef", "else", "endif")


def _targets(names: str, needs: str) -> Iterator[tuple[str, str]]:
    """Yield each target of a rule with its prerequisites; those of a static pattern rule with the stem put in."""
    if ":" in needs and "=" not in needs:
        needs = needs.partition(":")[2].strip()
    elif _ASSIGNMENT.fullmatch(needs):
        needs = ""  # a value of a variable for this target alone
    for name in names.split():
        yield name, needs.replace("%", name) if "%" not in name else needs
