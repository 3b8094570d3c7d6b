"""The hash of all that judges: what a verdict was made by."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from vexlab.config import source_tree
from vexlab.config.installation import root

JUDGING = ("ansible.cfg", "inventory", "playbooks", "plugins", "roles", "tests/stages")
"""What of the shipped files brings stages about and judges them, beside vexlab's own code."""


@cache
def suite() -> str:
    """sha256 over the names and contents of all that brings stages about and judges them.

    That is checks, playbooks and roles, the contract's defaults, and vexlab itself.
    """
    return tree_hash(root(), Path(__file__).resolve().parents[1])


def tree_hash(shipped: Path, package: Path) -> str:
    """What `suite` is, of the directory that holds the playbooks and of the one that holds vexlab's own code."""
    files = {path: path.relative_to(shipped) for name in JUDGING for path in _files(shipped / name)}
    own = {path: path.relative_to(package) for path in _files(package)}
    files |= {path: "vexlab" / name for path, name in own.items()}
    total = hashlib.sha256()
    for path, name in sorted(files.items(), key=lambda each: each[1]):
        total.update(os.fsencode(name) + f"\0{source_tree.content_hash(path.resolve())}\0".encode())
    return total.hexdigest()


def _files(place: Path) -> list[Path]:
    """The files in a directory, or the one that it is, without what Python compiled and what is hidden."""
    found = [place] if place.is_file() else [path for path, _ in source_tree.entries(place)]
    return [
        path
        for path in found
        if path.suffix != ".pyc" and not any(part.startswith(".") for part in path.relative_to(place.parent).parts)
    ]
