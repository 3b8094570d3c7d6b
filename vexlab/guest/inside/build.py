"""The module that was built, in its file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vexlab.guest.inside.system import read


def look(record: str, build: str, file: str) -> dict[str, Any]:
    """Read a module, what the build said about it, and what it was made from."""
    os.chdir(build)
    module = Path(file)
    content, built = module.read_bytes(), module.stat().st_mtime_ns
    sources = [name for name in listed_sources(module, build) if os.path.isfile(name)]
    return {
        "header": content[:64].hex(),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "record": json.loads(read(record))["module"],
        "release": os.uname().release,
        "sources": len(sources),
        "newer": sorted(name for name in sources if os.stat(name).st_mtime_ns > built),
    }


def listed_sources(module: Path, build: str) -> set[str]:
    """The files that a module was made from, as far as they are in the tree that was built.

    Kbuild keeps a list of a module's objects, and for each of those a list of its sources.
    """
    found = set()
    for item in (Path(name) for name in read(str(module.with_suffix(".mod"))).split()):
        words = read(str(item.with_name(f".{item.name}.cmd"))).split() if item.suffix == ".o" else []
        names = [name for name in words if name.endswith((".c", ".h", ".rs", ".S"))]
        found |= {name for name in names if not name.startswith("/") or name.startswith(build)}
    return found
