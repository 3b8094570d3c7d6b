# SPDX-License-Identifier: GPL-2.0-only
"""How far the checks of a stage saw of the kernel; what comes later is judged by who looks next."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "last_look.json"  # in the directory of an execution


@dataclass(frozen=True)
class LastLook:
    """The last line of the kernel's log that the checks of a stage read, and the taint flags that they saw."""

    stage: str
    line: str
    taint: int


def read(directory: Path) -> LastLook | None:
    """Return the last look of an execution; None when no checks have looked."""
    try:
        return LastLook(**json.loads((directory / NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def write(directory: Path, look: LastLook) -> None:
    """Keep a look in the place of the one before."""
    (directory / NAME).write_text(json.dumps(asdict(look)) + "\n", encoding="utf-8")
