"""The module that was loaded, as the kernel shows it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vexlab.guest.inside.attempts import outcome, shell
from vexlab.guest.inside.system import read


def content(path: Path) -> str | None:
    """What a file of the kernel says; None for one that isn't there."""
    return path.read_text().strip() if os.access(path, os.R_OK) else None


def look(name: str, parameters: Sequence[str], record: str) -> dict[str, Any]:
    """What the kernel says of a module and of these parameters, and what the build said of the module."""
    module = Path("/sys/module", name)
    note = module / "notes/.note.gnu.build-id"
    listed = [line.split() for line in read("/proc/modules").splitlines()]
    return {
        "states": {words[0]: words[4] for words in listed},
        "users": {words[0]: words[3] for words in listed},
        "initstate": content(module / "initstate"),
        "types": [line.split()[-1] for line in read("/proc/filesystems").splitlines()],
        "is built in": f"/{name}.ko" in read(f"/lib/modules/{os.uname().release}/modules.builtin"),
        "srcversion": content(module / "srcversion") or "",
        "note": note.read_bytes().hex() if note.exists() else "",
        "taint": content(module / "taint") or "",
        "parameters": {parameter: content(module / "parameters" / parameter) for parameter in parameters},
        "record": json.loads(read(record))["module"] if record else {},
    }


def of_first(name: str, file: str, parameters: Sequence[str]) -> dict[str, Any]:
    """What the kernel says of a module that is loaded before the target's: its state, these parameters.

    And whether it is what is in the file that was built, by its build-id; true of one that wasn't built.
    """
    module = Path("/sys/module", name)
    note = module / "notes/.note.gnu.build-id"
    return {
        "initstate": content(module / "initstate"),
        "is the built one": not file or (note.exists() and note.read_bytes() in Path(file).read_bytes()),
        "parameters": {parameter: content(module / "parameters" / parameter) for parameter in parameters},
    }


def load_again(insmod: str, name: str) -> list[str]:
    """Run insmod for a module that is loaded: what came of it, and the module's state then."""
    return [outcome(shell, insmod), read(f"/sys/module/{name}/initstate").strip()]
