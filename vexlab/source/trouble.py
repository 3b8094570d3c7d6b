"""What in a tree a first run would stumble over: told beforehand, each with its place and what comes of it."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vexlab.source import build
from vexlab.source.facts import Facts, is_makefile, some

# What an earlier build left; the lab doesn't copy it (vexlab_exclude).
STALE = ("*.o", "*.ko", "*.mod", "*.mod.c", ".*.cmd", "modules.order", "Module.symvers")
FREE = ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
_KERNEL = re.compile(r"/lib/modules/\d[\w.+-]*|/usr/src/(?:linux|kernels)[\w./+-]*\d[\w.+-]*")
_AUTHOR = re.compile(r"(?:^|[\s=:\"'(])((?:/home/|/root/|/Users/|~/)[\w./+-]+)")
_GIT = re.compile(r"\$\(shell[^)]*\bgit\b|(?:^|[\s;&|(`])git\s+(?:describe|rev-parse|log|submodule|diff|status)\b")
_COMMENT = re.compile(r"^\s*#.*$|(?<=\s)#.*$", re.MULTILINE)


@dataclass(frozen=True)
class Note:
    """One thing that was noticed: where, and what it means."""

    place: str
    words: str


def notes(facts: Facts) -> list[Note]:
    """Everything that was noticed, in the order in which a build would meet it."""
    found = [
        *_hard_coded(facts), *_build_lines(facts), *_stale(facts), *_module(facts), *_others(facts),
        *(Note(path, "is larger than 1 MiB and was not read") for path in facts.tree.too_large),
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def _hard_coded(facts: Facts) -> Iterator[Note]:
    """A kernel, or a directory of the author's, in a makefile."""
    for path, text in facts.tree.texts.items():
        if not is_makefile(path):
            continue
        for number, line in enumerate(_COMMENT.sub("", text).splitlines(), 1):
            if kernel := _KERNEL.search(line):
                yield Note(f"{path}:{number}", f"names one kernel, {kernel[0]}: the guest has another")
            elif author := _AUTHOR.search(line):
                yield Note(f"{path}:{number}", f"names a directory of its author's, {author[1]}: the guest has no such")
        if git := _GIT.search(text):
            line_number = text.count("\n", 0, git.start()) + 1
            yield Note(
                f"{path}:{line_number}",
                "calls git: the guest gets the tree without .git (vexlab_exclude), and has no git",
            )


def _build_lines(facts: Facts) -> Iterator[Note]:
    """What plain `make` would run that is no building, and calls of kbuild that no kernel of today understands."""
    for make in build.makes(facts):
        for line in make.lines:
            if line.privileged:
                yield Note(line.place, f"plain make runs {line.privileged} here: the proposed build leaves it out")
            if re.search(r"\bSUBDIRS=", line.text) and "-C" in line.text.split():
                yield Note(
                    line.place,
                    "SUBDIRS= is ignored since Linux 5.3, so that make would build the kernel itself: use M=",
                )
        for demand in build.demanded(facts, make.directory):
            yield Note(f"{demand.path}:{demand.line}", f"make stops unless {demand.variable} is given: {demand.words}")
    if facts.module.option:
        yield Note(
            f"{facts.module.makefile}:{facts.module.line}",
            f"the module is built if {facts.module.option} is m, which nothing in the tree sets",
        )


def _stale(facts: Facts) -> Iterator[Note]:
    """What an earlier build left, and objects without a source, which the lab wouldn't copy either."""
    names = {path: posixpath.basename(path) for path in facts.tree.sizes}
    left = [path for path, name in names.items() if any(fnmatch.fnmatchcase(name, rule) for rule in STALE)]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield Note(left[0], f"is left from an earlier build{more}: not copied into the guest (vexlab_exclude)")
    modules = {module.file[:-3] for module in facts.built.modules}
    for path in left:
        stem = path[:-2]
        with_source = any(f"{stem}{suffix}" in names for suffix in (".c", ".S", ".rs", ".cpp"))
        if path.endswith(".o") and not with_source and stem.removesuffix(".mod") not in modules:
            words = "is an object without a source; if the build needs it, name it NAME.o_shipped: *.o isn't copied"
            yield Note(path, words)


def _module(facts: Facts) -> Iterator[Note]:
    """What the module lacks, or says of itself that has consequences."""
    place, licence = f"{facts.module.makefile}:{facts.module.line}", facts.statements.licence
    if not licence:
        yield Note(place, f"no MODULE_LICENSE in the files of {facts.module.file}: its build ends with an error")
    elif licence not in FREE:
        yield Note(
            place,
            f"MODULE_LICENSE is {licence!r}: it taints the kernel (P), and can't use symbols that are for GPL only",
        )
    if not facts.filesystem.type:
        yield Note(
            f"{facts.filesystem.path}:{facts.filesystem.line}",
            "the name of the registered type can't be told from here",
        )
    if facts.filesystem.other_names:
        names = ", ".join(facts.filesystem.other_names)
        yield Note(
            f"{facts.filesystem.path}:{facts.filesystem.line}",
            f"the type may also be {names}, as the preprocessor decides",
        )
    for link in facts.tree.links:
        if posixpath.basename(link).endswith((".c", ".h")) or is_makefile(link):
            yield Note(link, "is a link, and was not followed")


def _others(facts: Facts) -> Iterator[Note]:
    """Other modules, other types, and what could not be told."""
    others = [module for module in facts.built.modules if module.file != facts.module.file]
    if others:
        names = some(module.file for module in others)
        yield Note(
            f"{others[0].makefile}:{others[0].line}",
            f"builds {names} too; {facts.module.file} is the one that registers a filesystem",
        )
    for one in facts.other_filesystems:
        yield Note(f"{one.path}:{one.line}", f"the module registers {one.type or 'another type'} too")
    for place in facts.built.unknown:
        yield Note(place, "names objects in a way that only make can tell")
    if facts.other_mkfs and facts.mkfs:
        yield Note(
            facts.mkfs.path, f"is taken for mkfs; there is {', '.join(one.path for one in facts.other_mkfs)} too"
        )
