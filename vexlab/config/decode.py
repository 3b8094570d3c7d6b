"""From parsed JSON to frozen dataclasses, by their type hints; every refusal names the field."""

from __future__ import annotations

import dataclasses
import math
import types
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vexlab.errors import VexlabError

T = TypeVar("T")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def decode(cls: type[T], value: object, where: str) -> T:
    """`value` as an instance of the dataclass `cls`; `where` is the path of `value` in its document ('' for all of it).

    A VexlabError names the field that is wrong: each must be there, nothing else may be, and types are exact (true
    isn't a number, 1 isn't true).
    """
    if not isinstance(value, dict):
        raise VexlabError(f"{where or 'it'} is not a JSON object")
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in names:
        if name not in value:
            raise VexlabError(f"{_join(where, name)} is missing")
    for name in value:
        if name not in names:
            raise VexlabError(f"{_join(where, str(name))} is unknown")
    return cls(**{name: _field(hints[name], value[name], _join(where, name)) for name in names})


def _field(hint: Any, value: object, where: str) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _field(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise VexlabError(f"{where} is not a list")
        return tuple(_field(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise VexlabError(f"{where} is not a JSON object")
        return {key: _field(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return decode(hint, value, where)  # type: ignore[arg-type]
    if issubclass(hint, StrEnum):
        if value not in list(hint):
            raise VexlabError(f"{where} is {value!r}, which is none of {', '.join(hint)}")
        return hint(value)
    return _plain(hint, value, where)


def _plain(hint: type, value: object, where: str) -> object:
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint or (isinstance(value, float) and not math.isfinite(value)):
        raise VexlabError(f"{where} is {value!r}, which is not {_WORDS[hint]}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
