"""The programs of a tree that format or check a filesystem: where each is after a build, and how it is called."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vexlab.source import makefile
from vexlab.source.makefile import Makefile

MKFS = re.compile(
    r"(?:^|[._-])(?:mk|new)[a-z0-9]*fs(?:[._-]|$)|mkfs|makefs|(?:^|[._-])format(?:[._-]|$)", re.IGNORECASE
)
FSCK = re.compile(r"fsck", re.IGNORECASE)
_NOT_ONE = re.compile(
    r"^(?:test|check|run|clean|install|un|rm)|_SOURCES$|[.-]test|\.(?:o|d|ko|md|txt|[0-9]|img|h|hpp|in|log)$"
)
_OUTPUT = re.compile(r"(?:^|\s)-o\s*(\S+)")
_C = re.compile(r"[\w./+-]+\.(?:c|cc|cpp|cxx|o)\b")
_MAIN = re.compile(r"^(?:[\w\s*]{0,60}\s)?main\s*\(", re.MULTILINE)
_OPTIONS = re.compile(r"\bgetopt(?:_long)?\s*\([^;\"]{0,80}\"([^\"]*)\"")
_COUNTED = re.compile(r"\bargc\s*(?:!=|<)\s*(\d{1,2})\b")
_LABEL = re.compile(r"-([A-Za-z])[ ,\\t\[<]*(?:--)?(?:\w*label|volume|vol\w*name|name)", re.IGNORECASE)
_LONG = re.compile(r"\{\s*\"(?P<word>[\w-]+)\"\s*,\s*\w+\s*,\s*\w+\s*,\s*'(?P<letter>\w)'\s*\}")
_FORCE = re.compile(r"-([A-Za-z])\b[^-\n]{0,30}(?:force|overwrite)", re.IGNORECASE)
C_SUFFIXES = (".c", ".cc", ".cpp", ".cxx")


@dataclass(frozen=True)
class Program:
    """A program of the tree. `path` is where it is after a build, relative to the root.

    `makefile` and `target` say what makes it; both are empty for a script, and `target` is for one that nothing makes.
    `recipe` is the line that compiles it where its target does other things too.
    """

    path: str
    source: str
    makefile: str
    target: str
    recipe: str = ""
    script: bool = False


@dataclass(frozen=True)
class Usage:
    """What the source of a mkfs says of its options: a letter each, or nothing; and how many arguments it needs."""

    label: str = ""
    force: str = ""
    arguments: int = 1


def find(
    kind: re.Pattern[str],
    directories: Mapping[str, list[Makefile]],
    texts: Mapping[str, str],
    scripts: Mapping[str, str],
) -> list[Program]:
    """Find the programs of a kind, those first that a makefile makes; `texts` are C files without comments."""
    found: dict[str, Program] = {}
    for directory, files in directories.items():
        for program in _made(kind, directory, files, texts):
            found.setdefault(program.path, program)
    sources = {program.source for program in found.values()}
    for path, text in texts.items():
        stem, suffix = posixpath.splitext(path)
        if suffix in C_SUFFIXES and path not in sources and _is(kind, stem) and _MAIN.search(text):
            target = f"{stem}.built" if stem in texts else stem
            found.setdefault(target, Program(target, path, "", ""))
    for path in scripts:
        if _is(kind, path):
            found.setdefault(path, Program(path, path, "", "", script=True))
    return list(found.values())


def best(programs: list[Program], filesystem_type: str) -> Program | None:
    """The one that is called as the filesystem is, made by a makefile, and not deep in the tree."""
    order = sorted(
        programs,
        key=lambda one: (
            one.script,
            filesystem_type not in one.path,
            not one.target,
            one.path.count("/"),
            len(one.path),
        ),
    )
    return next(iter(order), None)


def usage(text: str) -> Usage:
    """Which options a mkfs has for a label and to overwrite a filesystem, from getopt and its words of help."""
    options = "".join(_OPTIONS.findall(text))
    long = dict(_LONG.findall(text))
    labels = [long.get("label", ""), *_LABEL.findall(text)]
    forces = [long.get("force", ""), *_FORCE.findall(text)]
    label = next((letter for letter in labels if letter and f"{letter}:" in options), "")
    force = next((letter for letter in forces if letter and re.search(f"{letter}(?!:)", options)), "")
    if not label and "L:" in options:
        label = "L"
    counts = [int(count) for count in _COUNTED.findall(text)]
    return Usage(label, force, max(1, min(counts) - 1) if counts else 1)


def _is(kind: re.Pattern[str], path: str) -> bool:
    """Whether a path is that of a program of this kind, by its name; not where only make can tell the name."""
    name = posixpath.basename(path)
    return bool(kind.search(name)) and not _NOT_ONE.search(name) and not re.search(r"[$%*]", path)


def _made(kind: re.Pattern[str], directory: str, files: list[Makefile], texts: Mapping[str, str]) -> Iterator[Program]:
    """Yield what the rules of one directory make."""
    values = makefile.variables(files)
    rules = [(one, rule, makefile.expand(rule.target, values)) for one in files for rule in one.rules]
    phony = {
        name for _, rule, target in rules if target == ".PHONY"
        for name in makefile.expand(rule.prerequisites, values).split()
    }  # fmt: skip
    have_rule = {target for _, rule, target in rules if rule.recipe}
    for one, rule, target in rules:
        needs = makefile.expand(rule.prerequisites, values)
        inner = {**values, "@": target, "<": next(iter(needs.split()), ""), "^": needs}
        lines = [makefile.expand(raw, inner) for _, raw in rule.recipe]
        for line in lines:  # whatever the target is called
            output = _OUTPUT.search(line)
            if output and _is(kind, output[1]):
                source = _source(directory, [*_C.findall(line), *_C.findall(needs)], output[1], texts)
                own = "" if _is(kind, target) else line.lstrip("@-+ ")
                yield Program(_join(directory, output[1]), source, one.path, target, own)
        elsewhere = any("-C" in line.split() for line in lines) and not needs
        if lines and _is(kind, target) and target not in phony and not elsewhere:
            yield Program(
                _join(directory, target), _source(directory, _C.findall(needs), target, texts), one.path, target
            )
        for need in needs.split():  # by make's own rules
            source = "" if need in have_rule or not _is(kind, need) else _source(directory, [], need, texts)
            if source:
                yield Program(_join(directory, need), source, one.path, need)


def _source(directory: str, named: list[str], program: str, texts: Mapping[str, str]) -> str:
    """The C file that holds a program's main(): one that is named, or the one of its own name."""
    objects = [word[:-2] for word in named if word.endswith(".o")]
    guesses = [
        *named,
        *(f"{stem}{suffix}" for stem in objects for suffix in C_SUFFIXES),
        *(f"{program}{suffix}" for suffix in C_SUFFIXES),
    ]
    there = [path for guess in guesses if (path := _join(directory, guess)) in texts]
    return next((path for path in there if _MAIN.search(texts[path])), next(iter(there), ""))


def _join(directory: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(directory, name))
