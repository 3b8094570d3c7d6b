"""A target file beside its source: what contradicts it, what is doubtful, and what nobody can tell without a guest.

A contradiction is what would end a stage for certain, as far as the tree says it in so many words. What rests on a
guess, or on a Makefile that isn't fully understood, is a doubt.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vexlab.errors import UsageProblem
from vexlab.source import build, facts, proposal
from vexlab.source.facts import Facts

_PROGRAM = re.compile(r"^(?:\w+=\S+\s+)*([^\s\"'$;&|]+)")
Fields = Mapping[str, object]


@dataclass(frozen=True)
class Finding:
    """One thing about a field: what is so, and the way out. `wrong` is False for a doubt."""

    field: str
    words: str
    remedy: str
    wrong: bool = True


def against(root: Path, target: Fields) -> list[Finding]:
    """Compare a target that fits the schema with a source tree that can be read."""
    tree = facts.read_tree(root)
    found = [*_paths(tree, target), *_name(target)]
    try:
        known = facts.read(root, _chosen(target))
    except UsageProblem as problem:
        try:
            known = facts.read(root)
        except UsageProblem:
            return [*found, Finding("vexlab_source", problem.message, problem.hint, wrong=False)]
    checks = (_module, _type, _device, _mkfs, _magic, _demands, _claims)
    return [*found, *(finding for check in checks for finding in check(known, target))]


def not_looked_at(target: Fields, source: bool) -> list[str]:
    """What can't be told here, so that silence isn't taken for praise."""
    gaps = ["what it can do and its limits (vexlab_capabilities): only a run shows them"]
    if not source and "vexlab_source_in_guest" in target:
        inside = target["vexlab_source_in_guest"]
        gaps.insert(0, f"the source, {inside} in the guest; --source DIR compares with a copy of it")
    elif not source:
        gaps.insert(0, "the source: the module comes with the kernel")
    mkfs = _PROGRAM.match(str(target.get("vexlab_mkfs_command", "")))
    if mkfs and "/" not in mkfs[1]:
        gaps.append(f"whether the guest has {mkfs[1]} (vexlab_mkfs_command): it is no program of the tree")
    if target.get("vexlab_packages") or target.get("vexlab_source_packages"):
        gaps.append("whether Debian has the packages (vexlab_packages, vexlab_source_packages)")
    return gaps


def _chosen(target: Fields) -> str:
    return str(target["vexlab_module_file"])


def _paths(tree: facts.Tree, target: Fields) -> Iterator[Finding]:
    """What stage structure looks at, and the directory of the build."""
    directories = {parent for path in [*tree.sizes, *tree.links] for parent in _parents(path)}
    required = target.get("vexlab_required_paths")
    for path in required if isinstance(required, list) else []:
        there = (
            path.rstrip("/") in directories
            if path.endswith("/")
            else path in directories or path in tree.sizes or path in tree.links
        )
        if not there:
            yield Finding(
                "vexlab_required_paths", f"{path} is not in the source", "name what is there, or leave it out"
            )
    top = {path.split("/")[0] for path in [*tree.sizes, *tree.links]}
    forbidden = target.get("vexlab_forbidden_in_root")
    for rule in forbidden if isinstance(forbidden, list) else []:
        for name in sorted(fnmatch.filter(top, rule)):
            yield Finding(
                "vexlab_forbidden_in_root",
                f"{name} is in the root of the source",
                "move it away, or leave the rule out",
            )
    directory = posixpath.normpath(str(target.get("vexlab_build_directory", ".")))
    if directory != "." and directory not in directories:
        yield Finding(
            "vexlab_build_directory",
            f"there is no directory {directory} in the source",
            "name the one that has the Makefile",
        )


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _name(target: Fields) -> Iterator[Finding]:
    """The kernel names a module after its file."""
    expected = posixpath.basename(str(target["vexlab_module_file"]))[:-3].replace("-", "_")
    if target["vexlab_module_name"] != expected:
        yield Finding(
            "vexlab_module_name",
            f"a file {target['vexlab_module_file']} is loaded as {expected}",
            f"vexlab_module_name: {expected}",
        )


def _module(known: Facts, target: Fields) -> Iterator[Finding]:
    """Whether obj-m builds the module, and there."""
    file = posixpath.normpath(str(target["vexlab_module_file"]))
    built = {module.file: module for module in known.built.modules}
    if file in built:
        return
    same = [path for path in built if posixpath.basename(path) == posixpath.basename(file)]
    if same:
        module = built[same[0]]
        words = f"{module.makefile}:{module.line} has it built as {module.file}"
        yield Finding("vexlab_module_file", words, f"vexlab_module_file: {module.file}", not known.built.unknown)
        return
    names = facts.some(sorted(built))
    words = f"no Makefile builds {file} (obj-m); built are {names}"
    yield Finding("vexlab_module_file", words, f"vexlab_module_file: {known.module.file}", not known.built.unknown)


def _type(known: Facts, target: Fields) -> Iterator[Finding]:
    every = [known.filesystem, *known.other_filesystems]
    names = [name for one in every for name in (one.type, *one.other_names)]
    if target["vexlab_filesystem_type"] in names:
        return
    said = ", ".join(filter(None, names)) or "a name that can't be told"
    place = f"{known.filesystem.path}:{known.filesystem.line}"
    yield Finding(
        "vexlab_filesystem_type", f"{known.module.file} registers {said} ({place})",
        f"vexlab_filesystem_type: {names[0]}" if names[0] else "look there", all(names),
    )  # fmt: skip


def _device(known: Facts, target: Fields) -> Iterator[Finding]:
    """Whether it is mounted on a block device, as the type that it registers demands."""
    place = f"{known.filesystem.path}:{known.filesystem.line}"
    block = target.get("vexlab_device_kind", "block") == "block"
    if known.filesystem.needs_device and not block:
        words = f"the type needs a block device ({place}: FS_REQUIRES_DEV, or what mounts it)"
        yield Finding("vexlab_device_kind", words, "leave it out, and say how a device is formatted")
    if block and not known.filesystem.needs_device:
        words = f"nothing in the source asks for a block device ({place} has no FS_REQUIRES_DEV)"
        yield Finding("vexlab_device_kind", words, "vexlab_device_kind: none, or directory", wrong=False)


def _mkfs(known: Facts, target: Fields) -> Iterator[Finding]:
    """Whether the program is in the tree, or is made there."""
    for field in ("vexlab_mkfs_command", "vexlab_mkfs_force_command"):
        program = _PROGRAM.match(str(target.get(field, "")))
        if not program or "/" not in program[1] or program[1].startswith("/"):
            continue
        path = posixpath.normpath(program[1])
        made = [one for one in (known.mkfs, *known.other_mkfs) if one]
        if path in known.tree.sizes or any(one.path == path and one.makefile for one in made):
            continue
        if path.rpartition("/")[2] in str(target["vexlab_build_command"]):
            continue
        others = [one.path for one in made]
        way = (
            f"the tree has {', '.join(others)}"
            if others
            else "the tree has no program that formats; build it, or name one of a package"
        )
        yield Finding(field, f"{path} is not in the tree and no Makefile makes it", way, wrong=False)


def _magic(known: Facts, target: Fields) -> Iterator[Finding]:
    """Whether the bytes and their place are those of the source; turned round they are a slip that many make."""
    magic = known.magic
    stored = target.get("vexlab_superblock_magic")
    if magic is None or not isinstance(stored, str):
        return
    given = bytes.fromhex(stored)
    right = magic.stored.hex()
    if given not in (magic.stored, magic.stored.rstrip(b"\0")):
        turned = given in (magic.stored[::-1], magic.stored.rstrip(b"\0")[::-1])
        what = "are the reverse of" if turned else "are not"
        words = f"the bytes {stored} {what} {magic.constant} as it lies on disk ({magic.where})"
        yield Finding("vexlab_superblock_magic", words, f'vexlab_superblock_magic: "{right}"', turned and magic.ordered)
    offset = target.get("vexlab_superblock_magic_offset")
    if magic.placed and magic.in_structure is not None and offset != magic.offset:
        words = (
            f"{magic.constant} is at {magic.offset} ({magic.structure}.{magic.member}, {magic.where}), not at {offset}"
        )
        yield Finding(
            "vexlab_superblock_magic_offset", words, f"vexlab_superblock_magic_offset: {magic.offset}", wrong=False
        )


def _demands(known: Facts, target: Fields) -> Iterator[Finding]:
    """What the Makefile of the build directory can't do without."""
    directory = posixpath.normpath(str(target.get("vexlab_build_directory", ".")))
    command = str(target["vexlab_build_command"])
    for demand in build.demanded(known, "" if directory == "." else directory):
        if not re.search(rf"\b{demand.variable}=", command):
            words = f"{demand.path}:{demand.line} stops unless {demand.variable} is given ({demand.words})"
            yield Finding("vexlab_build_command", words, f"add {demand.variable}=… to the command", wrong=False)
    option = known.module.option
    if option and option not in command:
        words = f"{known.module.file} is built if {option} is m, which nothing in the tree sets"
        yield Finding("vexlab_build_command", words, f"add {option}=m to the command", wrong=False)


def _claims(known: Facts, target: Fields) -> Iterator[Finding]:
    """The capabilities that a source does tell, and for the others whether anything speaks for them."""
    claims = target.get("vexlab_capabilities")
    claimed = claims if isinstance(claims, list) else []
    if "module-description" in claimed and not known.statements.description:
        yield Finding(
            "vexlab_capabilities",
            "module-description is claimed, and there is no MODULE_DESCRIPTION",
            "leave it out",
            wrong=False,
        )
    if "module-alias" in claimed and target["vexlab_filesystem_type"] not in known.statements.filesystem_aliases:
        yield Finding(
            "vexlab_capabilities",
            "module-alias is claimed, and there is no MODULE_ALIAS_FS for the type",
            "leave it out",
            wrong=False,
        )
    for name, place in proposal.signs(known).items():
        if name in claimed and not place:
            yield Finding(
                "vexlab_capabilities",
                f"{name} is claimed, and nothing in the source speaks for it",
                "look whether it is so",
                wrong=False,
            )
