"""What the C files of a module say of it and of the filesystem that it registers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vexlab.source import c_text

_TYPE = re.compile(r"\bstruct\s+file_system_type\s+(\w+)\s*=\s*\{")
_NAME = re.compile(r"\.name\s*=\s*([^,}]+)|\bname\s*:\s*([^,}]+)")
_FLAGS = re.compile(r"(?:\.fs_flags\s*=|\bfs_flags\s*:)\s*([^,}]+)")
_REGISTERED = re.compile(r"(?<![\w])register_filesystem\s*\(\s*&?\s*([\w.\[\]>-]+?)\s*\)")
_STACKED = re.compile(r"\b(?:kern_path|vfs_path_lookup|path_lookup|user_path_at)\s*\(")
_BLOCK = re.compile(r"\b(?:mount_bdev|get_tree_bdev\w*|get_sb_bdev)\b")
_STATEMENT = re.compile(r"\bMODULE_(LICENSE|DESCRIPTION|ALIAS_FS|ALIAS|SOFTDEP)\s*\(\s*([^;]{1,400}?)\s*\)\s*;")
_PARAMETER = re.compile(r"\bmodule_param(?:_named|_cb|_string)?\s*\(\s*(\w+)")


@dataclass(frozen=True)
class Filesystem:
    """A type that is registered; `type` is empty where its name can't be told. `path` and `line` are of its structure.

    `other_names` are those that another branch of the preprocessor gives it; `stacked` says that the module looks up a
    path, as a filesystem over a directory does.
    """

    type: str
    needs_device: bool
    path: str
    line: int
    other_names: tuple[str, ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Statements:
    """What a module says of itself with MODULE_…, each with its place; texts that can't be told are left out."""

    licence: str
    description: str
    filesystem_aliases: tuple[str, ...]
    parameters: tuple[str, ...]
    softdep: tuple[str, ...]


def filesystems(texts: Mapping[str, str], values: dict[str, str], preferred: str = "") -> list[Filesystem]:
    """The types that these C files, without comments, register; of several names of one, the preferred."""
    registered = {name: (path, found.start()) for path, text in texts.items() for found in _REGISTERED.finditer(text)
                  for name in [found[1]]}  # fmt: skip
    stacked = any(_STACKED.search(text) for text in texts.values())
    block = any(_BLOCK.search(text) for text in texts.values())
    found: dict[str, Filesystem] = {}
    for path, text in texts.items():
        for structure in _TYPE.finditer(text):
            if structure[1] not in registered:
                continue
            body = c_text.body_at(text, structure.end() - 1)
            flags = _FLAGS.search(body)
            spelt_names = [c_text.string(one or other, values) or "" for one, other in _NAME.findall(body)] or [""]
            words = preferred if preferred in spelt_names else spelt_names[0]
            others = tuple(one for one in spelt_names if one != words)
            spelt = (
                " ".join([flags[1], *(values.get(word, "") for word in re.findall(r"\w+", flags[1]))]) if flags else ""
            )
            needs = "FS_REQUIRES_DEV" in spelt or block
            found[structure[1]] = Filesystem(
                words, needs, path, c_text.line_of(text, structure.start()), others, stacked
            )
    for name, (path, position) in registered.items():
        if name not in found:
            found[name] = Filesystem("", block, path, c_text.line_of(texts[path], position))
    return list(found.values())


def statements(texts: Mapping[str, str], values: dict[str, str]) -> Statements:
    """What these C files say of the module that they make."""
    said: dict[str, list[str]] = {}
    parameters: list[str] = []
    for text in texts.values():
        for kind, argument in _STATEMENT.findall(text):
            said.setdefault(kind, []).append(c_text.string(argument, values) or "")
        parameters += _PARAMETER.findall(text)
    aliases = [*said.get("ALIAS_FS", []), *(name[3:] for name in said.get("ALIAS", []) if name.startswith("fs-"))]
    softdep = [
        word for text in said.get("SOFTDEP", []) for word in text.replace("pre:", " ").partition("post:")[0].split()
    ]
    return Statements(
        next(iter(said.get("LICENSE", [])), ""),
        next(iter(said.get("DESCRIPTION", [])), ""),
        tuple(dict.fromkeys(filter(None, aliases))),
        tuple(dict.fromkeys(parameters)),
        tuple(softdep),
    )
