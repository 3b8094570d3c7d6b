"""Where on a device the superblock is, and the magic number in it, as far as the source tells.

The module's own reading of it counts most: a function that reads a block, takes it for a structure, and looks at a
member for a constant. After that comes what mkfs writes. Not seen: superblocks that are read through a page cache or
a bio of the module's own, and magic numbers that a function of another file compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vexlab.source import c_text, layout
from vexlab.source.c_text import Function
from vexlab.source.layout import Member, Structure

_READ = re.compile(r"\b\w*bread\w*\s*\(\s*[\w>.-]+\s*,\s*([^;,()]{1,80}(?:\([^;,()]{1,80}\)[^;,()]{0,80})?)\)")
_BLOCK_SIZE = re.compile(r"\b\w*sb_(?:set|min)_blocksize\s*\(\s*[\w>.-]+\s*,\s*([^;,]{1,80}?)\s*\)")
_TAKEN_FOR = re.compile(r"\(\s*(?:const\s+)?struct\s+(\w+)\s*\*\s*\)\s*\(?\s*[\w>.-]*b_data")
_ASSIGNED = re.compile(r"\b(\w+)\s*=\s*(?:\(\s*void\s*\*\s*\)\s*)?\(?[\w>.-]*b_data\b")
_MAGIC = re.compile(r"magic|signature|(?:^|_)sig(?:$|_)", re.IGNORECASE)
_VALUE = r"(?:\w+\s*\(\s*)*\(?([A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*)\b"
_COMPARED = re.compile(r"(?:->|\.)(\w+)\s*\)*\s*[!=]=\s*" + _VALUE)
_COMPARED_TURNED = re.compile(r"\b([A-Z]\w+)\s*\)*\s*[!=]=\s*(?:\w+\s*\(\s*)*\(*\w+(?:->|\.)(\w+)")
_COMPARED_TEXT = re.compile(
    r"\b(?:mem|str|strn)cmp\s*\(\s*\(?[^,;]*?(?:->|\.)(\w+)\s*,\s*(\w+|\"(?:\\.|[^\"\\])*\")\s*[,)]"
)
_INITIALISED = re.compile(r"\.(\w+)\s*=\s*" + _VALUE)
_SET = re.compile(r"(?:->|\.)(\w+)\s*=\s*" + _VALUE)
_INSTANCE = re.compile(r"\bstruct\s+(\w+)\s+\*?\s*\w+(?:\[\d*\])?\s*[=;,]")


@dataclass(frozen=True)
class Magic:
    """What is known of the magic number. `stored` is its bytes on disk, `offset` in bytes from the start of the device.

    `ordered` says that the source declares how the bytes lie; `placed` that it says which block is read. `in_structure`
    is the offset within the structure, None where that couldn't be told.
    """

    constant: str
    stored: bytes
    offset: int
    ordered: bool
    placed: bool
    where: str
    structure: str = ""
    member: str = ""
    in_structure: int | None = None


@dataclass(frozen=True)
class _Reading:
    """A function that reads a block and takes it for a structure."""

    structure: str
    block: int | None
    block_size: int | None
    function: Function
    path: str


def find(
    texts: Mapping[str, str], programs: Mapping[str, str], known: Mapping[str, Structure], values: dict[str, str]
) -> Magic | None:
    """Find the magic number in the files of the module, then in those of mkfs; both without comments, by their path."""
    readings = _readings(texts, values)
    magics = [_of_reading(reading, texts, programs, known, values) for reading in readings]
    magics += [_written(path, text, known, values) for path, text in programs.items()]
    found = [magic for magic in magics if magic]
    return found[0] if found else _constant_alone(texts, values)


def _readings(texts: Mapping[str, str], values: dict[str, str]) -> list[_Reading]:
    """Each block that is read and taken for a structure in one function, those that look at a magic number only."""
    found: list[_Reading] = []
    for path, text in texts.items():
        sizes = [c_text.number(size, values) for size in _BLOCK_SIZE.findall(text)]
        anywhere = {c_text.number(read, values) for read in _READ.findall(text)} - {None}
        for function in c_text.functions(text):
            names = dict.fromkeys(_taken_for(function.body)) if _MAGIC.search(function.body) else {}
            if not names:
                continue
            inner = [c_text.number(size, values) for size in _BLOCK_SIZE.findall(function.body)]
            size = next((one for one in [*inner, *sizes] if one), None)
            reads = [c_text.number(read, values) for read in _READ.findall(function.body)]
            # What another function of the file reads, if the file reads one place only.
            reads = reads or (list(anywhere) if len(anywhere) == 1 else [])
            block = next((one for one in reads if one is not None), None)
            found += [_Reading(name, block, size, function, path) for name in names]
    return sorted(found, key=lambda reading: reading.block is None)


def _taken_for(body: str) -> list[str]:
    """Names of the structures that a block's data is taken for in a function."""
    names = _TAKEN_FOR.findall(body)
    for variable in _ASSIGNED.findall(body):
        names += re.findall(rf"\bstruct\s+(\w+)\s+\*\s*{variable}\b", body)
    return names


def _of_reading(
    reading: _Reading, texts: Mapping[str, str], programs: Mapping[str, str],
    known: Mapping[str, Structure], values: dict[str, str],
) -> Magic | None:  # fmt: skip
    """The magic number of a structure that is read: the member that is compared, or that mkfs fills in."""
    members = layout.members(reading.structure, known, values)
    place = None if reading.block is None else reading.block * (reading.block_size or 0)
    if reading.block and not reading.block_size:
        place = None
    body = reading.function.body
    where = f"{reading.path}:{reading.function.line}"
    constants = _constants(body, programs)
    for member in members:
        for constant in constants.get(member.name, []):
            if stored := _bytes(member, constant, values):
                return _magic(constant, stored, member, (reading.structure, place, where))
    # The member is copied first, or compared elsewhere: one of that name, and a constant that the function names.
    named = [name for name in re.findall(r"\b[A-Z][A-Z0-9_]*\b", body) if _MAGIC.search(name) and name in values]
    for member in members:
        if _MAGIC.search(member.name):
            for constant in [*named, *_elsewhere(member.name, texts)]:
                if stored := _bytes(member, constant, values):
                    return _magic(constant, stored, member, (reading.structure, place, where))
    return None


def _magic(constant: str, stored: bytes, member: Member, place: tuple[str, int | None, str]) -> Magic:
    structure, start, where = place
    ordered = member.declares_order or bool(member.count)
    offset = (start or 0) + member.offset
    return Magic(constant, stored, offset, ordered, start is not None, where, structure, member.name, member.offset)


def _constants(body: str, programs: Mapping[str, str]) -> dict[str, list[str]]:
    """For each member the constants that the function compares it with, texts first, then what mkfs fills it with.

    A text of letters tells a filesystem apart; two bytes are more often the mark of any boot sector.
    """
    found: dict[str, list[str]] = {}
    pairs = [*_COMPARED_TEXT.findall(body), *_COMPARED.findall(body)]
    pairs += [(member, constant) for constant, member in _COMPARED_TURNED.findall(body)]
    for text in programs.values():
        pairs += [pair for pair in [*_INITIALISED.findall(text), *_SET.findall(text)] if _MAGIC.search(pair[0])]
    texts_first = dict(_COMPARED_TEXT.findall(body))
    for member, constant in pairs:
        if member in texts_first or _MAGIC.search(member) or _MAGIC.search(constant):
            found.setdefault(member, []).append(constant)
    return found


def _elsewhere(member: str, texts: Mapping[str, str]) -> list[str]:
    """What a member of that name is compared with anywhere in the module."""
    return [constant for text in texts.values() for name, constant in _COMPARED.findall(text) if name == member]


def _bytes(member: Member, constant: str, values: dict[str, str]) -> bytes | None:
    """How a constant lies in a member on disk; None where that is no constant of its kind."""
    text = c_text.string(constant, values)
    if text is not None and member.count:
        try:
            stored = text.encode("latin-1")[: member.size]
        except UnicodeEncodeError:
            return None
        return stored if 0 < len(stored) <= 32 else None
    if member.count or member.size > 8:
        return None
    value = c_text.number(constant, values)
    if not value or value < 0 or value >= 1 << (8 * member.size):
        return None
    return value.to_bytes(member.size, "big" if member.big_endian else "little")


def _written(path: str, text: str, known: Mapping[str, Structure], values: dict[str, str]) -> Magic | None:
    """The magic number that mkfs fills a structure with; the structure is taken to begin the device."""
    pairs = [*_INITIALISED.findall(text), *_SET.findall(text)]
    for member_name, constant in pairs:
        if not _MAGIC.search(member_name):
            continue
        for name in dict.fromkeys(_INSTANCE.findall(text)):
            for member in layout.members(name, known, values):
                if member.name == member_name and (stored := _bytes(member, constant, values)):
                    return _magic(constant, stored, member, (name, None, path))
    return None


def _constant_alone(texts: Mapping[str, str], values: dict[str, str]) -> Magic | None:
    """A constant called magic of which nothing says where on disk it is: what statfs gives, else what is compared."""
    compared = [
        (path, name)
        for path, text in texts.items()
        for member, name in _COMPARED.findall(text)
        if _MAGIC.search(member)
    ]
    given = [
        (path, name) for path, text in texts.items() for name in re.findall(r"\bs_magic\s*=\s*([A-Za-z_]\w*)", text)
    ]
    for path, constant in [*given, *compared]:
        value = c_text.number(constant, values)
        if value and 0 < value < 1 << 64:
            size = 4 if value < 1 << 32 else 8
            return Magic(constant, value.to_bytes(size, "little"), 0, ordered=False, placed=False, where=path)
    return None
