"""From parsed JSON to records (msgspec.Struct), strictly; what is refused is told by field, in words for people."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from vexlab.errors import VexlabError

T = TypeVar("T", bound=msgspec.Struct)

_WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a JSON object", "null": "null",
}  # fmt: skip
_JSON_NAMES = {
    str: "str", int: "int", float: "float", bool: "bool", list: "array", dict: "object", type(None): "null",
}  # fmt: skip
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


def decode(record: type[T], value: object) -> T:
    """Return parsed JSON as a record.

    Types are exact (true isn't a number, 1 isn't true), and no field may be there that the record doesn't have. A
    VexlabError names the first field that is wrong.
    """
    try:
        return msgspec.convert(value, record)
    except msgspec.ValidationError as problem:
        fact, _, path = str(problem).partition(" - at `$")
        raise VexlabError(_in_words(fact, *_place(record, value, path.rstrip("`"), fact))) from None


def _place(record: type, value: Any, path: str, fact: str) -> tuple[str, Any, Any]:
    """Follow a path of msgspec, such as `.stages[2].verdict`: the place as people read it, what is there, its type."""
    kind: Any = msgspec.inspect.type_info(record)
    where = ""
    for name, index in _STEP.findall(path):
        if name:
            kind = next(field.type for field in kind.fields if field.encode_name == name)
            key, where = name, _join(where, name)
        elif index == "...":  # msgspec doesn't tell which of a mapping's values it is
            kind = kind.value_type
            key = next((key for key, item in value.items() if _is_meant(item, fact)), None)
            where = _join(where, str(key))
        else:
            kind, key, where = kind.item_type, int(index), f"{where}[{index}]"
        kind = _plain(kind)
        value = value[key]
    return where, value, kind


def _plain(kind: Any) -> Any:
    """Return a type without its description, and of one that may be null the other one."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return _plain(next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
    return kind


def _is_meant(item: object, fact: str) -> bool:
    """Tell whether an item of a mapping is the one of which msgspec says something."""
    return fact == f"Invalid enum value {item!r}" or fact.endswith(f"got `{_JSON_NAMES.get(type(item))}`")


def _in_words(fact: str, where: str, value: object, kind: Any) -> str:
    if field := re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", fact):
        return f"{_join(where, field[2])} is {'missing' if field[1] == 'missing required' else 'unknown'}"
    if isinstance(kind, msgspec.inspect.EnumType):
        return f"{where} is {value!r}, which is none of {', '.join(kind.cls)}"
    if wanted := re.match(r"Expected `([^`]+)`(.*)", fact):
        words = " or ".join(_WORDS.get(name, name) for name in wanted[1].split(" | "))
        if "array" in wanted[1] or "object" in wanted[1]:  # what is there instead may be long
            return f"{where or 'it'} is not {words}"
        bound = "" if ", got" in wanted[2] else wanted[2]
        return f"{where} is {value!r}, which is not {words}{bound}"
    return f"{where or 'it'}: {fact}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
