"""A file to which records are only ever added, each with its own hash and that of the one before.

It shows when a record was edited, taken out or put in by hand, which guards against accident and haste. It doesn't stop
somebody who computes the hashes anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import readiness
from filelock import FileLock

from vexlab.config.atomic_file import replace_file
from vexlab.errors import VexlabError

Record = dict[str, Any]


def content_hash(record: Record) -> str:
    """sha256 over a record's fields, `sha256` itself aside; the same for any order of them."""
    return readiness.content_hash(record)


def append(path: Path, record: Record) -> None:
    """Add a record, bound to the last one that is there; the file is made when it isn't there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = path.read_text(encoding="utf-8") if path.is_file() else ""
        # What is added mends no chain: where the last record has no hash any more, the next is bound to none.
        try:
            previous = str(json.loads(known.splitlines()[-1])["sha256"]) if known.strip() else ""
        except (ValueError, KeyError, TypeError):
            previous = "unreadable"
        linked = record | {"previous": previous}
        line = json.dumps(linked | {"sha256": content_hash(linked)}, sort_keys=True)
        replace_file(path, known + line + "\n")


def read(path: Path) -> list[Record]:
    """The records, the oldest first; a VexlabError names the first line at which the chain is broken."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise VexlabError(f"{path} can't be read: {error}") from error
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise broken(path, number, "it is no record")
        if record.get("sha256") != content_hash(record):
            raise broken(path, number, "it was edited")
        if record.get("previous") != (records[-1]["sha256"] if records else ""):
            raise broken(path, number, "what was before it is gone or was changed")
        records.append(record)
    return records


def broken(path: Path, number: int, why: str) -> VexlabError:
    """The refusal of a chain that isn't whole."""
    return VexlabError(
        f"{path}:{number}: the chain is broken here: {why}",
        f"nothing in it counts any more; if you know why, mv {path} {path}.broken and begin again",
    )
