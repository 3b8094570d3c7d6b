"""What else differs between two runs than what their checks came to: all that decides what checks come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vexlab.config import user_directories
from vexlab.results import model
from vexlab.results.model import Amounts, Contract, Run
from vexlab.source import revision


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same, with what each of the two runs says of it."""

    what: str
    old: str
    new: str


def differences(old: Run, new: Run) -> list[Difference]:
    """Every such thing, as far as both runs recorded it."""
    found = [
        Difference(what, _short(before), _short(now))
        for (what, before), (_, now) in zip(_facts(old), _facts(new), strict=True)
        if before != now
    ]
    if old.amounts and new.amounts:
        found += _of_records("stress: ", old.amounts, new.amounts, leave_out=("seed",))
    if old.contract and new.contract:
        found += _of_records("", old.contract, new.contract, leave_out=("sha256",))
    return found


def of_source(old: Run, new: Run) -> list[str]:
    """The files of the source that differ, a line each; none where git can't tell, or the commit is the same."""
    commits = [run.source.commit if run.source else "" for run in (old, new)]
    if not all(commits) or commits[0] == commits[1]:
        return []
    for tree in filter(None, map(source_directory, (new.run, old.run))):
        if lines := revision.difference(tree, *commits):
            return lines
    return []


def source_directory(run: str) -> Path | None:
    """The directory that the source of a run was in, if there is one now."""
    try:
        path = user_directories.runs_directory() / run / "contract.json"
        directory = Path(json.loads(path.read_text(encoding="utf-8"))["vexlab_source"] or "/nowhere")
        return directory if directory.is_dir() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what a run was a run of, always the same things in the same order; empty where it isn't known."""
    module, guest = run.module, run.guest
    yield "target", run.target
    yield "variant", module.variant if module else ""
    yield "module", module.sha256 if module else ""
    yield "source", model.source_in_words(run.source)
    yield "kernel", run.kernel
    yield "suite", f"{run.suite} (vexlab {run.suite_version})"
    yield "machine", run.machine
    yield "accelerator", guest.accelerator if guest else ""
    yield "CPUs of the guest", str(guest.cpus) if guest else ""
    yield "memory of the guest", f"{guest.memory_mb} MiB" if guest else ""
    yield "QEMU", guest.qemu if guest else ""
    yield "image", guest.image if guest else ""
    yield "device", run.device.by_id if run.device else ""
    yield "stages", ", ".join(run.selected)
    yield "chosen checks", ", ".join(run.chosen) or "all"


def _of_records(
    title: str, old: Amounts | Contract, new: Amounts | Contract, leave_out: tuple[str, ...]
) -> Iterator[Difference]:
    """Yield the fields in which two records differ; of lists and mappings only what the other doesn't have."""
    for name in old.__struct_fields__:
        before, now = getattr(old, name), getattr(new, name)
        if name not in leave_out and before != now:
            yield Difference(title + name.replace("_", " "), _only(before, now), _only(now, before))


def _only(one: object, other: object) -> str:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return ", ".join(item for item in one if item not in other)
    if isinstance(one, dict) and isinstance(other, dict):
        return ", ".join(f"{name} {value}" for name, value in one.items() if other.get(name) != value)
    return str(one)


def _short(text: str) -> str:
    """A fact with its hash, if it begins with one, cut to what people read."""
    first, space, rest = text.partition(" ")
    is_hash = len(first) == 64 and not set(first) - set("0123456789abcdef")
    return f"{first[: model.HASH]}{space}{rest}" if is_hash else text
