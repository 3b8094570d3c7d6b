"""Places and sizes of the members of a C structure, as gcc lays it out on x86-64.

Not seen: bit fields, members whose type is a typedef of the tree or of the kernel. The layout ends before the first
of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vexlab.source import c_text

_STRUCTURE = re.compile(
    r"\b(struct|union)\s+(?:__packed\s+|__attribute__\s*\(\([^)]*\)\)\s*)?(\w+)\s*(?:__packed\s*)?\{"
)
_TYPEDEF = re.compile(r"\btypedef\s+(struct|union)\s*(?:\w+\s*)?\{")
_MEMBER = re.compile(r"(?P<type>.*?[\s*])(?P<name>\w+)\s*(?P<counts>(?:\[[^\]]*\]\s*)*)", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"__attribute__\s*\(\(.*?\)\)|\b__packed\b|\b__aligned\s*\([^)]*\)|\b__nonstring\b|\b(?:const|volatile)\b"
)
_TYPES = {
    1: "u8 s8 __u8 __s8 uint8_t int8_t char bool uchar",
    2: "u16 s16 __u16 __s16 uint16_t int16_t short __le16 __be16 le16 be16",
    4: "u32 s32 __u32 __s32 uint32_t int32_t int unsigned float __le32 __be32 le32 be32",
    8: "u64 s64 __u64 __s64 uint64_t int64_t long __le64 __be64 le64 be64 size_t loff_t sector_t time_t double",
}
_SPELT = {
    1: ("unsigned char", "signed char"),
    2: ("unsigned short", "short int", "unsigned short int"),
    4: ("unsigned int", "signed int"),
    8: ("unsigned long", "long long", "unsigned long long", "long int", "unsigned long int", "long long int"),
}
SIZE_OF = {name: size for size, names in _TYPES.items() for name in names.split()}
SIZE_OF |= {name: size for size, names in _SPELT.items() for name in names}
BYTES = {"uuid_t": 16, "guid_t": 16, "uuid_le": 16, "uuid_be": 16}  # without alignment
DEEPEST = 8  # structures within structures


@dataclass(frozen=True)
class Member:
    """One member: its type as written, its place and size in bytes; `count` is 0 for one that is no array."""

    name: str
    type: str
    offset: int
    size: int
    count: int = 0

    @property
    def big_endian(self) -> bool:
        """Whether its bytes lie the other way round than the processor's."""
        return "be" in self.type

    @property
    def declares_order(self) -> bool:
        """Whether its type says how its bytes lie."""
        return "le" in self.type.split("_") or self.big_endian or self.type.lstrip("_")[:2] == "le"


@dataclass(frozen=True)
class Structure:
    """A structure as it is written, and where: the path of its file and its line."""

    kind: str
    body: str
    packed: bool
    path: str
    line: int


def structures(path: str, text: str) -> Iterator[tuple[str, Structure]]:
    """Yield each structure of a file without comments, by its name, or by that which a typedef gives it."""
    for pattern in (_STRUCTURE, _TYPEDEF):
        for found in pattern.finditer(text):
            body = c_text.body_at(text, found.end() - 1)
            end = found.end() + len(body) + 1
            tail = text[end : end + 200].partition(";")[0]
            packed = "packed" in tail or "packed" in found[0]
            name = found[2] if pattern is _STRUCTURE else next(iter(re.findall(r"\w+", _ATTRIBUTE.sub("", tail))), "")
            yield name, Structure(found[1], body, packed, path, c_text.line_of(text, found.start()))


def members(name: str, known: Mapping[str, Structure], values: dict[str, str]) -> list[Member]:
    """The members of a structure up to the first whose size can't be told."""
    return _lay_out(name, known, values, 0)[0] if name in known else []


def _lay_out(
    name: str, known: Mapping[str, Structure], values: dict[str, str], depth: int
) -> tuple[list[Member], int | None, int]:
    """The members, the size (None: can't be told) and the alignment of a structure."""
    structure = known[name]
    found: list[Member] = []
    end, widest = 0, 1
    for type_, member, counts in _declared(structure.body):
        size, alignment = _size(type_, known, values, depth)
        repeats = _repeats(counts, known, values, depth)
        if size is None or repeats is None:
            return found, None, widest
        alignment = 1 if structure.packed else alignment
        widest = max(widest, alignment)
        start = 0 if structure.kind == "union" else -(-end // alignment) * alignment
        whole = size * (repeats if counts else 1)
        found.append(Member(member, type_, start, whole, repeats if counts else 0))
        end = max(end, start + whole)
    return found, -(-end // widest) * widest, widest


def _declared(body: str) -> Iterator[tuple[str, str, str]]:
    """Yield type, name and dimensions of each member; an empty type for what is not understood."""
    flat = re.sub(r"^[ \t]*#[^\n]*$", "", body, flags=re.MULTILINE)
    for statement in _statements(flat):
        text = _ATTRIBUTE.sub(" ", statement).strip()
        found = _MEMBER.fullmatch(text)
        if not text:
            continue
        if "{" in text or ":" in text or "(" in text.partition("[")[0] or not found:
            yield "", "", ""
            continue
        yield " ".join(found["type"].replace("*", " * ").split()), found["name"], found["counts"].strip()


def _statements(body: str) -> Iterator[str]:
    """Yield what semicolons and commas separate outside of braces; after a comma the type is put before it."""
    position = 0
    for found in re.compile(r"[;{]").finditer(body):
        if found.start() < position:
            continue
        if found[0] == "{":
            inner = c_text.body_at(body, found.start())
            after = body.find(";", found.end() + len(inner))
            end = len(body) if after < 0 else after
            yield body[position:end]
            position = end + 1
            continue
        first, *others = body[position : found.start()].split(",")
        yield first
        for other in others:
            yield f"{first.partition('[')[0].strip().rpartition(' ')[0]} {other}"
        position = found.end()


def _size(type_: str, known: Mapping[str, Structure], values: dict[str, str], depth: int) -> tuple[int | None, int]:
    """Size and alignment of a type; a size of None can't be told."""
    if type_.endswith("*"):
        return 8, 8
    if type_ in SIZE_OF:
        return SIZE_OF[type_], SIZE_OF[type_]
    if type_ in BYTES:
        return BYTES[type_], 1
    name = type_.removeprefix("struct ").removeprefix("union ")
    if name in known and depth < DEEPEST:
        _, size, alignment = _lay_out(name, known, values, depth + 1)
        return size, alignment
    return None, 1


def _repeats(counts: str, known: Mapping[str, Structure], values: dict[str, str], depth: int) -> int | None:
    """How many elements all dimensions of an array make; 1 where there are none."""
    total = 1
    for text in re.findall(r"\[([^\]]*)\]", counts):
        sizes = {f"struct {name}": size for name in re.findall(r"struct\s+(\w+)", text) if name in known
                 and depth < DEEPEST and (size := _lay_out(name, known, values, depth + 1)[1]) is not None}  # fmt: skip
        sizes |= {name: size for name, size in SIZE_OF.items() if name in text}
        count = c_text.number(text, values, sizes) if text.strip() else 0
        if count is None or not 0 <= count < 1 << 32:
            return None
        total *= count
    return total
