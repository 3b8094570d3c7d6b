"""Reads dkms.conf as text: a shell script that DKMS runs, of which the assignments of plain text are understood."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"""^\s*(\w+)(?:\[(\d+)\])?=(?:"([^"]*)"|'([^']*)'|(\S*))""", re.MULTILINE)
_OURS = {"kernelver": "$KERNEL_RELEASE", "kernel_source_dir": "$KDIR"}


@dataclass(frozen=True)
class Dkms:
    """What DKMS is told: the module's names and places by their index, its own command, and what runs before it."""

    modules: dict[str, str]
    command: str
    before: str
    path: str


def parse(path: str, text: str) -> Dkms:
    """Read a dkms.conf; `command` has the lab's variables for those of DKMS, and is empty if others are in it."""
    values: dict[str, str] = {}
    names: dict[str, str] = {}
    places: dict[str, str] = {}
    for name, index, *texts in _ASSIGNMENT.findall(text):
        value = _expand(next(filter(None, texts), ""), values)
        if name == "BUILT_MODULE_NAME":
            names[index or "0"] = value
        elif name == "BUILT_MODULE_LOCATION":
            places[index or "0"] = value.strip("/")
        elif index in ("", "0"):
            values[name] = value
    modules = {value: places.get(index, "") for index, value in names.items()}
    command = re.sub(r"\$\{?(\w+)\}?", lambda found: _OURS.get(found[1], found[0]), values.get("MAKE", ""))
    unknown = re.search(r"\$(?!KERNEL_RELEASE\b|KDIR\b)", command)
    return Dkms(modules, "" if unknown else command, values.get("PRE_BUILD", ""), path)


def _expand(text: str, values: dict[str, str]) -> str:
    """Put in what the file itself has set before."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], found[0]), text)
