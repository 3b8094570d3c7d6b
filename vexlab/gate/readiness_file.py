"""The readiness file: a decision of the gate, for role vexfs_load to ask for on a machine that isn't a VM."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import readiness
from msgspec import to_builtins

from vexlab import __version__
from vexlab.config import suite_hash
from vexlab.config.atomic_file import replace_file
from vexlab.gate import evidence, hash_chain, sign_offs
from vexlab.gate.decision import Decision, Subject


def document(subject: Subject, decision: Decision) -> dict[str, Any]:
    """The document, which docs/readiness.schema.json describes."""
    told = {
        "schema": readiness.SCHEMA,
        "level": decision.level,
        "not_claimed": decision.not_claimed,
        "module": {"name": subject.name, "sha256": subject.sha256, "srcversion": subject.srcversion},
        "kernel": subject.kernel,
        "contract": to_builtins(decision.contract),
        "suite": suite_hash.suite(),
        "suite_version": __version__,
        "criteria": [asdict(criterion) for criterion in decision.criteria],
        "sources": [asdict(source) for source in decision.sources],
        "made": decision.made.isoformat(timespec="seconds"),
        "valid_until": decision.valid_until.isoformat(timespec="seconds"),
    }
    return told | {"sha256": readiness.content_hash(told)}


def write(subject: Subject, decision: Decision) -> Path:
    """Write the file to its place, whatever the level is; returns the path."""
    path = sign_offs.directory(subject.sha256) / "readiness.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, json.dumps(document(subject, decision), indent=1) + "\n")
    return path


def runs_relied_on() -> set[str]:
    """Return the names of the runs that some readiness file rests on, expired or not, as far as they can be read."""
    names: set[str] = set()
    for path in sign_offs.directory("x").parent.glob("*/readiness.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            names |= {str(source["what"]) for source in json.loads(path.read_text(encoding="utf-8"))["sources"]}
    return names


def refusals(path: Path, wanted: dict[str, str], now: datetime) -> list[str]:
    """Why a file lets nothing be loaded: by the role's rules, and by its sources as far as they are here."""
    found, why = readiness.read(str(path))
    if why:
        return [why]
    said: list[str] = readiness.refusals(found, wanted, now.timestamp())
    runs = {entry.run: entry for entry in evidence.entries()}
    signed = {record["sha256"] for record in hash_chain.read(sign_offs.file_of(str(found["module"]["sha256"])))}
    for source in found["sources"]:
        entry = runs.get(source["what"])
        if entry is None:
            if signed and source["what"].startswith("statement") and source["sha256"] not in signed:
                said.append(f"the {source['what']} that it rests on is not the one that was signed here")
        elif (entry.evidence, entry.finished) != (source["sha256"], source["made"]):
            said.append(f"its evidence {entry.run} was sealed with another content, or at another time")
        elif entry.directory.is_dir() and (problem := evidence.problem(entry)):
            said.append(f"its evidence {entry.run} is not as it was: {problem}")
    return said
