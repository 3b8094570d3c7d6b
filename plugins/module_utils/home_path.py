"""Paths that begin with a home directory; standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with the home directory that its `~` stands for; as it is where nobody has that name, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises RuntimeError of such a name
