"""From what was read of a source tree to the fields of a target file: one function of its facts alone.

A field's `value` of None is one that is left out and only spoken of. What was measured can be put in the place of what
was read, field by field, before the file is written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vexlab.config import installation
from vexlab.config import limits as config_limits
from vexlab.source import build, c_text, programs
from vexlab.source.build import Build
from vexlab.source.facts import Facts

# Modules that Debian's kernels have apart, by a call that needs them; insmod doesn't look for them.
KERNEL_MODULES = {
    "libcrc32c": re.compile(r"(?<!\w)crc32c\s*\("),
    "jbd2": re.compile(r"(?<!\w)jbd2_journal_\w+\s*\("),
    "mbcache": re.compile(r"(?<!\w)mb_cache_(?:entry_)?\w+\s*\("),
}
# What in a source speaks for a capability; whether it is so, a run shows.
SIGNS = {
    "read-write": r"\.(?:write_iter|write|write_begin)\s*=",
    "directories": r"\.mkdir\s*=",
    "rename": r"\.rename2?\s*=",
    "hard-links": r"\.link\s*=",
    "symbolic-links": r"\.symlink\s*=",
    "permissions": r"\.setattr\s*=",
    "truncate": r"\.setattr\s*=",
    "statfs": r"\.statfs\s*=",
    "mmap": r"\.mmap\w*\s*=",
    "xattrs": r"(?:->s_xattr|\.listxattr)\s*=",
    "acls": r"\.set_acl\s*=",
    "file-handles": r"->s_export_op\s*=",
    "remount": r"\.(?:remount_fs|reconfigure)\s*=",
    "sync": r"\.fsync\s*=",
}

BY_THE_KERNEL = ("permissions", "truncate", "remount")  # what it does itself where a filesystem has no word for it
LASTING = ("sync-mounts", "crash-recovery")  # which nobody has who isn't persistent


@dataclass(frozen=True)
class Field:
    """A field of a target file, its value, and how sure that is: what stands above it, and beside it."""

    name: str
    value: object
    beside: str = ""
    above: tuple[str, ...] = ()

    @property
    def unsure(self) -> bool:
        """Whether what is said of it asks for a look."""
        return any(word in text for text in (self.beside, *self.above) for word in ("not found", "guessed"))


@dataclass(frozen=True)
class Proposal:
    """The fields in the order of the file; `signs` has for each capability that isn't claimed what speaks for it.

    `measured` has what a guest showed of each capability that isn't claimed; it is empty when nothing was measured.
    """

    module: str
    fields: tuple[Field, ...]
    signs: dict[str, str]
    superblock: tuple[dict[str, object], ...]
    measured: Mapping[str, str] = field(default_factory=dict)

    def impossible(self, capability: str) -> bool:
        """Whether a filesystem of this kind can't have a capability: without a device nothing is formatted, or kept."""
        kind = self.values().get("vexlab_device_kind", "block")
        formatted = capability == "label" or capability.startswith("mkfs-")
        return (kind != "block" and formatted) or (kind == "none" and capability == "persistent")

    def possible(self, capabilities: Sequence[str]) -> list[str]:
        """Those of these capabilities that a filesystem of this kind can be asked for by this file."""
        known = self.values()
        return [
            name
            for name in capabilities
            if not self.impossible(name)
            and not (name == "label" and "vexlab_superblock_label_offset" not in known)
            and not (name in LASTING and self.impossible("persistent"))
        ]

    def with_measured(
        self, claims: Sequence[str], limits: Mapping[str, int], why_not: Mapping[str, str], above: str
    ) -> Proposal:
        """The same with what a guest showed in the place of what the source tells of capabilities and limits."""
        lasting = "persistent" in claims
        kept = [name for name in claims if lasting or name not in LASTING]
        own = [Field("vexlab_capabilities", kept, above=(above,))]
        if met := _without_contradiction(limits, kept):
            own.insert(0, Field("vexlab_limits", met, "met in a guest"))
        others = [each for each in self.fields if each.name not in ("vexlab_capabilities", "vexlab_limits")]
        return replace(self, fields=(*others, *own), measured=dict(why_not))

    def values(self) -> dict[str, object]:
        """The fields that have a value."""
        return {each.name: each.value for each in self.fields if each.value is not None}


def _without_contradiction(met: Mapping[str, int], claims: Sequence[str]) -> dict[str, int]:
    """The limits that a target with these claims can have: what isn't claimed has none, whatever was met."""
    told = config_limits.problems({"vexlab_limits": dict(met), "vexlab_capabilities": list(claims)})
    wrong = {problem.partition(":")[0].removeprefix("vexlab_limits.") for problem in told}
    return {name: number for name, number in met.items() if name not in wrong}


def propose(facts: Facts, source: str) -> Proposal:
    """Make the fields of a target file; `source` is the tree as the file will name it."""
    plan = build.plan(facts)
    fields = [
        *_identity(facts, source, plan), *_build(plan), *_module(facts), *_format(facts), _capabilities(facts),
    ]  # fmt: skip
    return Proposal(facts.module.file, tuple(fields), signs(facts), _superblock_fields(facts))


def signs(facts: Facts) -> dict[str, str]:
    """For each capability that a source can speak for, where it does; empty where one must, and nothing does."""
    found = {name: _sign(facts, pattern) for name, pattern in SIGNS.items()}
    return {name: place for name, place in found.items() if place or name not in BY_THE_KERNEL}


def _identity(facts: Facts, source: str, plan: Build) -> Iterator[Field]:
    name = re.sub(r"[^a-z0-9]+", "-", (facts.filesystem.type or facts.module.name).lower()).strip("-")
    yield Field("vexlab_target_name", name or "filesystem")
    yield Field("vexlab_source", source)
    if plan.packages:
        yield Field("vexlab_packages", list(plan.packages), "guessed from the headers that mkfs includes")
    sources = [program.source for program in (facts.mkfs, facts.fsck) if program and program.source]
    paths = [facts.module.makefile, facts.filesystem.path, *sources]
    yield Field("vexlab_required_paths", list(dict.fromkeys(paths)))
    made = [program.path for program in (facts.mkfs, facts.fsck) if program and not program.script]
    if made:
        default = installation.contract_defaults()["vexlab_exclude"]
        above = ("The lab's default, and what a build on the host leaves: that must not pass for the guest's.",)
        yield Field("vexlab_exclude", [*default, *(f"/{path}" for path in made)], above=above)


def _build(plan: Build) -> Iterator[Field]:
    if plan.directory != ".":
        yield Field("vexlab_build_directory", plan.directory)
    if plan.before:
        yield Field("vexlab_build_before", list(plan.before))
    yield Field("vexlab_build_command", plan.command, above=(*plan.reasons, *plan.doubts))


def _module(facts: Facts) -> Iterator[Field]:
    yield Field("vexlab_module_file", facts.module.file, f"{facts.module.makefile}:{facts.module.line}")
    yield Field("vexlab_module_name", facts.module.name)
    calls = [name for name, call in KERNEL_MODULES.items() if any(call.search(text) for text in facts.texts.values())]
    needed = list(dict.fromkeys([*facts.statements.softdep, *calls]))
    if needed:
        yield Field(
            "vexlab_module_dependencies", needed, "guessed from what it calls; Debian's kernel has them as modules"
        )
    if facts.statements.parameters:
        parameters = ", ".join(facts.statements.parameters)
        yield Field("vexlab_module_parameters", None, f"the module has: {parameters}")
    place = f"{facts.filesystem.path}:{facts.filesystem.line}"
    if re.fullmatch(r"\w[\w.-]*", facts.filesystem.type, re.ASCII):
        yield Field("vexlab_filesystem_type", facts.filesystem.type, place)
    else:
        yield Field(
            "vexlab_filesystem_type", facts.module.name, f"not found: guessed from the module's name; see {place}"
        )


def _format(facts: Facts) -> Iterator[Field]:
    """How it is formatted, and what tells that it was; of one without a block device, what it is mounted on instead."""
    if not facts.filesystem.needs_device:
        place = f"{facts.filesystem.path}:{facts.filesystem.line}"
        kind, said = ("directory", "and it looks up a path") if facts.filesystem.stacked else ("none", "")
        beside = f"guessed: {place} has no FS_REQUIRES_DEV{' ' if said else ''}{said}"
        yield Field("vexlab_device_kind", kind, beside)
        return
    kind = facts.filesystem.type or facts.module.name
    if facts.mkfs is None:
        beside = "not found: no program of the tree formats it. Name yours; a package goes to vexlab_packages"
        yield Field("vexlab_mkfs_command", f'mkfs.{kind} "$DEVICE"', beside)
    else:
        usage = programs.usage(facts.c_files.get(facts.mkfs.source, ""))
        options = f' -{usage.label} "$LABEL"' if usage.label else ""
        path = shlex.quote(f"./{facts.mkfs.path}")
        beside = "guessed: what it is called with isn't known" if facts.mkfs.script else ""
        if usage.arguments > 1:
            beside = f"not found: {facts.mkfs.source} wants {usage.arguments} arguments; the device alone is a guess"
        yield Field("vexlab_mkfs_command", f'{path}{options} "$DEVICE"', beside)
        if usage.force:
            yield Field("vexlab_mkfs_force_command", f'{path} -{usage.force}{options} "$DEVICE"')
        yield from _label(facts, usage.label)
    magic = facts.magic
    if magic is None:
        yield Field("vexlab_superblock_magic", "00", "not found: this is no magic number, put yours here")
        yield Field("vexlab_superblock_magic_offset", 0, "not found")
        return
    sure = "" if magic.ordered else "; guessed: little endian, as the processor has it"
    where = (
        f" in {magic.structure}.{magic.member}"
        if magic.member
        else ", which may be on disk in another form or not at all"
    )
    yield Field("vexlab_superblock_magic", magic.stored.hex(), f"{magic.constant}{where}{sure} ({magic.where})")
    if magic.in_structure is None:
        yield Field("vexlab_superblock_magic_offset", 0, "not found: 0 is a guess")
    else:
        said = (
            "" if magic.placed else f"guessed: {magic.in_structure} within {magic.structure}, taken to begin the device"
        )
        yield Field("vexlab_superblock_magic_offset", magic.offset, said)


def _label(facts: Facts, option: str) -> Iterator[Field]:
    """Where the label is, if mkfs takes one and the superblock has a member for it."""
    start = _structure_start(facts)
    member = next((one for one in facts.members if re.search(r"label|vol(?:ume)?_?name", one.name) and one.count), None)
    if option and member and start is not None:
        beside = f"guessed from {facts.magic.structure}.{member.name}" if facts.magic else ""
        yield Field("vexlab_superblock_label_offset", start + member.offset, beside)


def _structure_start(facts: Facts) -> int | None:
    """Bytes from the start of the device to the structure that holds the magic number; None where that isn't known."""
    magic = facts.magic
    if magic is None or magic.in_structure is None or not magic.placed:
        return None
    return magic.offset - magic.in_structure


def _superblock_fields(facts: Facts) -> tuple[dict[str, object], ...]:
    """The members of the superblock as vexlab_superblock_fields has them."""
    start = _structure_start(facts)
    if start is None:
        return ()
    return tuple(
        {"name": one.name, "offset": start + one.offset, "size": one.size}
        for one in facts.members
        if 0 < one.size <= 4096
    )


def _claimed(facts: Facts) -> list[str]:
    """The capabilities that a source does tell."""
    aliased = facts.filesystem.type in facts.statements.filesystem_aliases
    return [*(["module-alias"] if aliased else []), *(["module-description"] if facts.statements.description else [])]


def _capabilities(facts: Facts) -> Field:
    above = ("What it can do, its source doesn't tell. Take away the # of what you are sure of; the rest is skipped.",)
    return Field("vexlab_capabilities", _claimed(facts), above=above)


def _sign(facts: Facts, pattern: str) -> str:
    """Where in the module something speaks for a capability; empty when nothing does."""
    for path, text in facts.texts.items():
        if found := re.search(pattern, text):
            return f"{path}:{c_text.line_of(text, found.start())}"
    return ""
