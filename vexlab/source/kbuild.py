"""Which modules a tree builds, where kbuild leaves them, and which files each is made of."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vexlab.source import makefile
from vexlab.source.makefile import Makefile

_OBJECTS = re.compile(r"obj-(?:m|y|\$[({](CONFIG_\w+)[)}])")
_ORDER = ("GNUmakefile", "makefile", "Makefile", "Kbuild")  # what make reads first, then what only kbuild does


@dataclass(frozen=True)
class Module:
    """A module that the tree builds; paths are relative to its root.

    `option` is the kernel's option that must be `m` for it, where nothing in the tree says so; `sources` are the C
    files that it is made of.
    """

    name: str
    file: str
    makefile: str
    line: int
    option: str
    sources: tuple[str, ...]

    @property
    def directory(self) -> str:
        """Where kbuild leaves it; empty for the root of the tree."""
        return posixpath.dirname(self.file)


@dataclass(frozen=True)
class Built:
    """All modules of a tree whose sources are in it, and the places whose objects only make can tell."""

    modules: tuple[Module, ...]
    unknown: tuple[str, ...]


def by_directory(makefiles: Iterable[Makefile]) -> dict[str, list[Makefile]]:
    """The makefiles of each directory, in the order in which make and kbuild read them."""
    found: dict[str, list[Makefile]] = {}
    for one in makefiles:
        found.setdefault(one.directory, []).append(one)
    for files in found.values():
        files.sort(
            key=lambda one: _ORDER.index(name) if (name := posixpath.basename(one.path)) in _ORDER else len(_ORDER)
        )
    return found


def read(directories: Mapping[str, list[Makefile]], texts: Mapping[str, str], paths: Iterable[str]) -> Built:
    """Find what `obj-m` and its kin name; `texts` are the makefiles as text, `paths` all files of the tree."""
    set_in_tree = {name for text in texts.values() for name in re.findall(r"(CONFIG_\w+)\s*[:?]?=\s*m\b", text)}
    there = frozenset(paths)
    modules: dict[str, Module] = {}
    unknown: list[str] = []
    for directory, files in directories.items():
        values = makefile.variables(files)
        for one in files:
            for assignment in one.assignments:
                kind = _OBJECTS.fullmatch(makefile.expand(assignment.name, values))
                if not kind:
                    continue
                option = kind[1] if kind[1] and kind[1] not in set_in_tree else ""
                for word in makefile.expand(assignment.value, values).split():
                    if "$" in word or "(" in word:
                        unknown.append(f"{one.path}:{assignment.line}")
                    elif word.endswith(".o") and kind[0] != "obj-y":
                        path = posixpath.normpath(posixpath.join(directory, word[:-2]))
                        sources = _sources(directory, word[:-2], values, there)
                        name = posixpath.basename(path).replace("-", "_")
                        modules.setdefault(path, Module(name, f"{path}.ko", one.path, assignment.line, option, sources))
    return Built(tuple(module for module in modules.values() if module.sources), tuple(dict.fromkeys(unknown)))


def _sources(directory: str, stem: str, values: Mapping[str, str], there: frozenset[str]) -> tuple[str, ...]:
    """The C files of a module that are in the tree; all of its directory where the list of objects can't be told."""
    own = re.compile(rf"{re.escape(stem)}-(?:y|m|objs|\$.*)")
    parts = [name for name in values if own.fullmatch(name)]
    words = " ".join(makefile.expand(values[name], dict(values)) for name in parts).split() if parts else [f"{stem}.o"]
    within = posixpath.join(directory, posixpath.dirname(stem)) if parts and "/" in stem else directory
    found = []
    for word in words:
        if word.endswith(".o"):
            for base in dict.fromkeys((within, directory)):
                path = posixpath.normpath(posixpath.join(base, f"{word[:-2]}.c"))
                if path in there:
                    found.append(path)
                    break
    if any("$" in word for word in words):
        found += [path for path in sorted(there) if path.endswith(".c") and posixpath.dirname(path) == directory]
    return tuple(dict.fromkeys(found))
