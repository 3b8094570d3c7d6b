"""Which lines of a tree's makefiles a build runs, and which of them call kbuild."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vexlab.source import makefile
from vexlab.source.makefile import Makefile

_MAKE = re.compile(r"(?:^|[\s;&|(@+-])(?:\$[({]MAKE[)}]|g?make)\s+(.*)")
_INTO = re.compile(r"(?:^|\s)-C\s*((?:\$\([^)]*\)|`[^`]*`|\S)+)")
_ROOT = re.compile(r"(?:^|\s)(M|SUBDIRS)=(\S+)")
_PRIVILEGED = re.compile(
    r"(?:^|[;&|(]\s*|\b(?:then|do|else)\s+)[@-]*(sudo|su|insmod|rmmod|modprobe|mount|umount|losetup|depmod|mknod)\s"
)
DEEPEST = 8  # makefiles that call makefiles
MOST = 2000  # lines of recipes


@dataclass(frozen=True)
class Line:
    """A line of a recipe that is run: the file, its number, what it says with and without values put in."""

    path: str
    number: int
    raw: str
    text: str

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}:{self.number}"

    @property
    def privileged(self) -> str:
        """The command in it that a build has no business with; empty when there is none."""
        found = _PRIVILEGED.search(self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class KbuildCall:
    """A call of make on the kernel's build directory: how that is named, and by which variable the tree is."""

    line: Line
    kernel: str
    root_variable: str


@dataclass(frozen=True)
class Make:
    """What plain `make` does in a directory: the lines that it runs, and each directory and target that it comes to."""

    directory: str
    lines: list[Line]
    targets: set[tuple[str, str]]


def plain_make(directory: str, directories: Mapping[str, list[Makefile]]) -> Make:
    """What plain `make` does in a directory, in makefiles below it too."""
    make = Make(directory, [], set())
    if goal := plain_goal(directory, directories):
        _Walk(directories, make).goal(directory, goal)
    return make


def kbuild_call(line: Line, values: Mapping[str, str]) -> KbuildCall | None:
    """What a line says of kbuild, with the variables that name the kernel's directory not yet replaced."""
    text = line.raw
    for _ in range(makefile.DEEPEST):
        call = _MAKE.search(text)
        into, root = (_INTO.search(call[1]), _ROOT.search(call[1])) if call else (None, None)
        if call and into and root:
            return KbuildCall(line, into[1].strip("\"'"), root[1])
        expanded = _once(text, values)
        if expanded == text:
            break
        text = expanded
    return None


def _once(text: str, values: Mapping[str, str]) -> str:
    """The text with each reference to a variable replaced once."""
    kept = {"MAKE"}
    return re.sub(
        r"\$[({](\w+)[)}]",
        lambda found: found[0] if found[1] in kept else values.get(found[1], found[0]),
        text,
    )[: makefile.LONGEST]


class _Walk:
    """Follows what make would do, from goal to goal and from makefile to makefile."""

    def __init__(self, directories: Mapping[str, list[Makefile]], make: Make) -> None:
        """Add to what `make` has."""
        self.directories, self.make = directories, make

    def goal(self, directory: str, goal: str, depth: int = 0) -> None:
        """Add the lines of a goal's prerequisites, then its own, then those of the makefiles that it calls."""
        if depth > DEEPEST or (directory, goal) in self.make.targets or len(self.make.lines) > MOST:
            return
        self.make.targets.add((directory, goal))
        files = [one for one in self.directories.get(directory, []) if posixpath.basename(one.path) != "Kbuild"]
        values = makefile.variables(files)
        for one in files:
            for rule in one.rules:
                if goal not in makefile.expand(rule.target, values).split():
                    continue
                for needed in makefile.expand(rule.prerequisites, values).split():
                    self.goal(directory, needed, depth + 1)
                for number, raw in rule.recipe:
                    text = makefile.expand(raw, {**values, "@": goal}).lstrip("@-+ ")
                    self.make.lines.append(Line(one.path, number, raw, text))
                    self._follow(directory, text, depth)

    def _follow(self, directory: str, text: str, depth: int) -> None:
        """Go on into what a line calls make for, unless that is the kernel's."""
        for part in re.split(r"&&|;|\|\|", text):
            call = _MAKE.search(part)
            if not call or _ROOT.search(call[1]):
                continue
            into = _INTO.search(call[1])
            named = into[1].replace("$(CURDIR)/", "") if into else "."
            inner = posixpath.normpath(posixpath.join(directory, named))
            inner = "" if inner == "." else inner
            words = _INTO.sub(" ", call[1]).split()
            goals = [word for word in words if re.fullmatch(r"\w[\w./-]*", word)]
            for goal in goals or [plain_goal(inner, self.directories)]:
                self.goal(inner, goal, depth + 1)


def plain_goal(directory: str, directories: Mapping[str, Sequence[Makefile]]) -> str:
    """What plain `make` builds in a directory; empty when it has no makefile with a rule."""
    files = [one for one in directories.get(directory, []) if posixpath.basename(one.path).lower().endswith("makefile")]
    values = makefile.variables(files)
    return next((makefile.expand(goal, values) for one in files if (goal := one.goal())), "")
