"""Reads a source tree and says what is in it that a target file is about. Nothing is run, and nothing written."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vexlab.config import source_tree
from vexlab.errors import UsageProblem
from vexlab.source import c_text, dkms, kbuild, layout, makefile, programs, registration, superblock
from vexlab.source.dkms import Dkms
from vexlab.source.kbuild import Built, Module
from vexlab.source.layout import Member, Structure
from vexlab.source.makefile import Makefile
from vexlab.source.programs import Program
from vexlab.source.registration import Filesystem, Statements
from vexlab.source.superblock import Magic

LARGEST = 1 << 20  # bytes of a file that is read as text
MANY = 8  # names that a sentence lists
_C = (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp")
_MAKEFILE = re.compile(r"(?:GNUm|M|m)akefile(?:\..*)?|Kbuild(?:\..*)?|.*\.mk")
_SCRIPT = re.compile(r"^#!.*\b(?:sh|bash|dash|python3?|perl)\b")
_INCLUDED = re.compile(r'^\s*#\s*include\s+"([^"]+\.c)"', re.MULTILINE)
_KERNEL = ("MAINTAINERS", "Kconfig", "fs", "kernel", "mm")


@dataclass(frozen=True)
class Tree:
    """The files of a tree: every path with its size, the text of those that are read, and which are links."""

    root: Path
    sizes: Mapping[str, int]
    texts: Mapping[str, str]
    links: tuple[str, ...]
    too_large: tuple[str, ...]

    def c_files(self) -> dict[str, str]:
        """C and C++ files without their comments."""
        return {path: c_text.without_comments(text) for path, text in self.texts.items() if path.endswith(_C)}


@dataclass(frozen=True)
class Facts:
    """What is known of one module of a tree, and of what belongs to it. Paths are relative to the tree's root."""

    tree: Tree
    c_files: Mapping[str, str]
    directories: Mapping[str, list[Makefile]]
    built: Built
    module: Module
    filesystem: Filesystem
    other_filesystems: tuple[Filesystem, ...]
    statements: Statements
    texts: Mapping[str, str]
    mkfs: Program | None
    other_mkfs: tuple[Program, ...]
    fsck: Program | None
    magic: Magic | None
    members: tuple[Member, ...]
    dkms: Dkms | None


def read(root: Path, chosen: str | None = None) -> Facts:
    """Read a tree; `chosen` is the name or the path of a module where several register a filesystem.

    Raises UsageProblem for a tree that no target file can be of, with what it has instead.
    """
    tree = read_tree(root)
    files = [makefile.parse(path, text) for path, text in tree.texts.items() if is_makefile(path)]
    directories = kbuild.by_directory(files)
    built = kbuild.read(directories, {one.path: tree.texts[one.path] for one in files}, tree.sizes)
    c_files = tree.c_files()
    module, own, found = _choose(tree, built, c_files, chosen)
    values = _values(module, own, c_files)
    first = next((one for one in found if one.type == module.name), found[0])
    mkfs = programs.find(programs.MKFS, directories, c_files, _scripts(tree))
    best = programs.best(mkfs, first.type or module.name)
    fsck = programs.best(programs.find(programs.FSCK, directories, c_files, _scripts(tree)), first.type)
    known = _structures([*own, *c_files], c_files)
    theirs = {best.source: c_files[best.source]} if best and best.source in c_files else {}
    magic = superblock.find(own, theirs, known, values) if first.needs_device else None
    members = tuple(layout.members(magic.structure, known, values)) if magic and magic.structure else ()
    return Facts(
        tree, c_files, directories, built, module, first, tuple(one for one in found if one is not first),
        registration.statements(own, values), own, best, tuple(one for one in mkfs if one is not best), fsck,
        magic, members, _dkms(tree, module),
    )  # fmt: skip


def read_tree(root: Path) -> Tree:
    """Read names and texts; raises UsageProblem for what can't be read, for an empty tree and for the kernel's own."""
    top = {path.name for path in root.iterdir()}
    if all(name in top for name in _KERNEL):
        raise UsageProblem(
            f"{source_tree.shown(root)} is the kernel's own tree (MAINTAINERS, Kconfig, fs/)",
            "name the directory of one filesystem that is built on its own; what is below fs/ the kernel builds",
        )
    sizes: dict[str, int] = {}
    texts: dict[str, str] = {}
    links: list[str] = []
    too_large: list[str] = []
    for path, status in source_tree.entries(root):
        name = source_tree.shown(path.relative_to(root))
        if stat.S_ISLNK(status.st_mode):
            links.append(name)
            continue
        sizes[name] = status.st_size
        if name != str(path.relative_to(root)):
            continue  # no makefile and no target file can name it
        if not (
            name.endswith(_C) or is_makefile(name) or posixpath.basename(name) == "dkms.conf" or _may_be_script(name)
        ):
            continue
        if status.st_size > LARGEST:
            too_large.append(name)
            continue
        texts[name] = source_tree.read_text(path, LARGEST)
    if not sizes:
        raise UsageProblem(
            f"there is no file in {source_tree.shown(root)}", "name the root of a filesystem's source tree"
        )
    return Tree(root, sizes, texts, tuple(links), tuple(too_large))


def some(names: Iterable[str]) -> str:
    """A list for a sentence: the first of the names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - MANY} more" if len(every) > MANY else ""
    return ", ".join(every[:MANY]) + more


def is_makefile(path: str) -> bool:
    """Whether a file is read by make or kbuild, by its name."""
    return bool(_MAKEFILE.fullmatch(posixpath.basename(path)))


def _may_be_script(path: str) -> bool:
    name = posixpath.basename(path)
    return name.endswith((".sh", ".py")) or bool(programs.MKFS.search(name) or programs.FSCK.search(name))


def _scripts(tree: Tree) -> dict[str, str]:
    """Files that name their interpreter."""
    return {path: text for path, text in tree.texts.items() if _SCRIPT.match(text) and not path.endswith(_C)}


def _choose(
    tree: Tree, built: Built, c_files: Mapping[str, str], chosen: str | None
) -> tuple[Module, dict[str, str], list[Filesystem]]:
    """The module to describe, its C files and what it registers; raises UsageProblem when that isn't one."""
    root = source_tree.shown(tree.root)
    registers = [path for path, text in c_files.items() if registration.filesystems({path: text}, {})]
    if not built.modules:
        seen = f"; {registers[0]} registers a filesystem" if registers else ""
        unread = f"; what {built.unknown[0]} names can't be told without running make" if built.unknown else ""
        raise UsageProblem(
            f"no Makefile or Kbuild in {root} builds a module (obj-m){seen}{unread}",
            "name the root of an out-of-tree filesystem module; docs/targets.md tells how to write a file by hand",
        )
    found: dict[str, tuple[Module, dict[str, str], list[Filesystem]]] = {}
    for module in built.modules:
        own = _own_files(module, c_files)
        types = registration.filesystems(own, _values(module, own, c_files), module.name)
        if types:
            found[module.file] = (module, own, types)
    if chosen is not None:
        found = {file: one for file, one in found.items() if chosen in (one[0].name, file)}
    if len(found) == 1:
        return next(iter(found.values()))
    names = some(one[0].file for one in found.values()) or some(module.file for module in built.modules)
    if len(found) > 1:
        raise UsageProblem(
            f"{len(found)} modules in {root} register a filesystem: {names}",
            "choose one with --module NAME, or its path",
        )
    if chosen is not None:
        raise UsageProblem(
            f"{chosen!r} is no module in {root} that registers a filesystem; built are {names}",
            "name another one with --module",
        )
    elsewhere = f"; {registers[0]} does, and belongs to none of them" if registers else ""
    raise UsageProblem(
        f"no module in {root} registers a filesystem ({names}){elsewhere}",
        "name the tree of a filesystem (register_filesystem)",
    )


def _own_files(module: Module, c_files: Mapping[str, str]) -> dict[str, str]:
    """The C files that a module is made of, those that they include, and the headers beside them."""
    paths = [path for path in module.sources if path in c_files]
    for path in paths:
        for name in _INCLUDED.findall(c_files[path]):
            included = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            if included in c_files and included not in paths:
                paths.append(included)
    return {path: c_files[path] for path in paths}


def _values(module: Module, own: Iterable[str], c_files: Mapping[str, str]) -> dict[str, str]:
    """What names stand for: in the module's files first, then beside them, then anywhere in the tree."""
    beside = {posixpath.dirname(path) for path in own} | {module.directory}
    order = [*own, *(path for path in c_files if posixpath.dirname(path) in beside), *c_files]
    values: dict[str, str] = {}
    for path in dict.fromkeys(order):
        for name, value in c_text.definitions(c_files[path]).items():
            values.setdefault(name, value)
    return values


def _structures(order: Iterable[str], c_files: Mapping[str, str]) -> dict[str, Structure]:
    found: dict[str, Structure] = {}
    for path in dict.fromkeys(order):
        for name, structure in layout.structures(path, c_files[path]):
            found.setdefault(name, structure)
    return found


def _dkms(tree: Tree, module: Module) -> Dkms | None:
    """The dkms.conf that builds the module, the one nearest to the root."""
    for path in sorted(
        (path for path in tree.texts if posixpath.basename(path) == "dkms.conf"), key=lambda one: one.count("/")
    ):
        said = dkms.parse(path, tree.texts[path])
        if module.name in {name.replace("-", "_") for name in said.modules}:
            return said
    return None
