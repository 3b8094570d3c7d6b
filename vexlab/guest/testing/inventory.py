"""The variables of the host under test, as the inventory has them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import testinfra


@cache
def read_inventory(hosts: str, inventory: str, _: float) -> dict[str, Any]:
    """The variables of one host, as testinfra reads them."""
    host = testinfra.get_host(hosts, ansible_inventory=inventory)
    found: dict[str, Any] = as_data(host.ansible.get_variables())  # type: ignore[attr-defined]
    return found


def as_data(value: Any) -> Any:
    """A value as ansible-inventory prints it, with the text in it that is tagged `!unsafe` as text again."""
    if isinstance(value, dict):
        tagged = value.get("__ansible_unsafe")
        return tagged if isinstance(tagged, str) else {key: as_data(item) for key, item in value.items()}
    return [as_data(item) for item in value] if isinstance(value, list) else value


def host_variables(hosts: str, inventory: str) -> dict[str, Any]:
    """The variables of the one host of this session; read again when the inventory has changed."""
    files = [path for path in Path(inventory).rglob("*") if path.is_file()] or [Path(inventory)]
    return read_inventory(hosts, inventory, max(path.stat().st_mtime for path in files))
