"""Names of functions: what tests call has one, and in the guest it leads to the same function again."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any

PACKAGE = __name__.rpartition(".")[0]


def named(name: str) -> Callable[..., Any]:
    """The function that `module:qualified.name` means; raises LookupError when this package has no such function."""
    module, _, path = name.partition(":")
    try:
        found = operator.attrgetter(path)(importlib.import_module(module)) if module.startswith(f"{PACKAGE}.") else None
    except (ModuleNotFoundError, AttributeError) as problem:
        raise LookupError(f"nothing that runs in the guest is named {name}: {problem}") from None
    if not callable(found) or found.__module__ != module:
        raise LookupError(f"nothing that runs in the guest is named {name}")
    function: Callable[..., Any] = found
    return function


def name_of(function: Callable[..., object]) -> str:
    """The name by which the guest finds a function; raises LookupError for one that it has not."""
    name = f"{function.__module__}:{function.__qualname__}"
    if named(name) is not function:
        raise LookupError(f"{name} means another function in the guest")
    return name
