"""THE rules by which a readiness file lets a module be loaded on a machine that isn't a VM; standard library only.

`vexlab gate` writes the file and checks others by them, and module `readiness` asks them for a role.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMA = 2
LEVELS = ("none", "vm", "device", "production")
OLDEST_DAYS = 30  # no run and no statement counts for longer, whatever the file says
CLOCKS_DIFFER = 300  # seconds by which the clock of the machine that wrote the file may be ahead


def content_hash(document: dict[str, Any]) -> str:
    """sha256 over all fields but `sha256` itself."""
    content = {name: value for name, value in document.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def reached(criteria: list[dict[str, Any]]) -> str:
    """The highest level of which, and of each below it, every criterion is met; a level without criteria isn't."""
    level = LEVELS[0]
    for name in LEVELS[1:]:
        of_level = [criterion["met"] for criterion in criteria if criterion["level"] == name]
        if not of_level or not all(met is True for met in of_level):
            return level
        level = name
    return level


def read(path: str) -> tuple[dict[str, Any], str]:
    """The document, and why it is none."""
    try:
        document = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        return {}, f"it can't be read: {error.strerror}"
    except ValueError:
        return {}, "it is not JSON"
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}, f"it is no readiness file of version {SCHEMA}; vexlab gate writes one"
    if document.get("sha256") != content_hash(document):
        return {}, "it was edited, or is damaged: its content doesn't have the hash that it names"
    try:
        facts(document)
        reached(document["criteria"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return {}, f"it is no readiness file: {error!r}"
    return document, ""


def facts(document: dict[str, Any]) -> dict[str, Any]:
    """What the rules look at; raises KeyError, TypeError or ValueError where it isn't there or makes no sense."""
    made, until = (datetime.fromisoformat(document[name]).timestamp() for name in ("made", "valid_until"))
    return {
        "sha256": str(document["module"]["sha256"]), "srcversion": str(document["module"]["srcversion"]),
        "kernel": str(document["kernel"]), "level": str(document["level"]), "made": made, "until": until,
        "unmet": [
            (LEVELS.index(each["level"]), f"{each['key']} ({each['why']})")
            for each in document["criteria"]
            if each["met"] is not True
        ],
        "sources": {
            str(source["what"]): datetime.fromisoformat(source["made"]).timestamp() for source in document["sources"]
        },
        "used": used(document["contract"]),
    }  # fmt: skip


def used(contract: dict[str, Any] | None) -> dict[str, str]:
    """How the module was used when it was tested; nothing without a run that counts."""
    names = {"parameters": "module_parameters", "options_ro": "mount_options_ro", "options_rw": "mount_options_rw"}
    return {name: str(contract[field]) for name, field in names.items()} if contract is not None else {}


def refusals(document: dict[str, Any], wanted: dict[str, str], now: float) -> list[str]:
    """Why a document that `read` gave does not let a module be loaded; what is not in `wanted` is not asked for."""
    about, founded = facts(document), reached(document["criteria"])
    words = {"sha256": "module, with the sha256", "srcversion": "module, with the srcversion", "kernel": "kernel,"}
    found = [
        f"it is about another {words[name]} {about[name]}; this one is {wanted[name]}"
        for name in words
        if name in wanted and about[name] != wanted[name]
    ]
    found += _of_its_age(document, about, now) + _of_its_use(about["used"], wanted)
    if about["level"] != founded:
        found.append(f"it says level {about['level']}, and its criteria bear out {founded}")
    needed = wanted.get("level", LEVELS[0])
    if LEVELS.index(founded) < LEVELS.index(needed):
        unmet = [words for level, words in about["unmet"] if level <= LEVELS.index(needed)]
        found.append(f"it reaches level {founded}, and {needed} is needed; not met: {', '.join(unmet)}")
    return found


def _of_its_age(document: dict[str, Any], about: dict[str, Any], now: float) -> list[str]:
    """Why it doesn't hold now: by its own dates, and by those of what it rests on, which bound the file's."""
    found = []
    if max([about["made"], *about["sources"].values()]) > now + CLOCKS_DIFFER:
        found.append(f"it, or what it rests on, is from the future: made at {document['made']}")
    if about["until"] < now:
        found.append(f"it is too old: valid until {document['valid_until']}")
    oldest = min(about["sources"], key=about["sources"].__getitem__, default="")
    if oldest and about["sources"][oldest] + OLDEST_DAYS * 86400 < now:
        found.append(f"it rests on {oldest}, which is older than {OLDEST_DAYS} days: nothing counts for longer")
    if not oldest and reached(document["criteria"]) != LEVELS[0]:
        found.append("it names no run and no statement that it rests on")
    return found


def _of_its_use(tested: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Which ways to use the module are not those that were tested."""
    found = []
    said = wanted.get("parameters")
    if said is not None and said.split() != tested.get("parameters", said).split():
        found.append(f"it was tested with the module parameters '{tested['parameters']}', not with '{said}'")
    for name, mount in (("options_ro", "read-only"), ("options_rw", "read-write")):
        said = wanted.get(name)
        if said and said != tested.get(name, said):
            found.append(f"it was mounted {mount} with the options '{tested[name]}' when tested, not with '{said}'")
    return found
