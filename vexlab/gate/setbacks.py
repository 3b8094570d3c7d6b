"""What the other runs of a module say against it, whatever the suite was, however long ago.

The chain tells, so that nothing is gained by removing the directory of such a run. The module is the same, byte for
byte: what it did once it can do again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vexlab.gate import completeness, evidence
from vexlab.gate.evidence import Entry
from vexlab.results.model import DIED, WRONG, Verdict


@dataclass(frozen=True)
class Setback:
    """A run that makes a pass doubtful: what went wrong in it, and why the pass doesn't take that back.

    `criterion` is the one that it takes away. `excusable`: whether a person may say that the module is not to blame.
    """

    run: str
    criterion: str
    why: str
    excusable: bool


def of(entries: Sequence[Entry], chosen: Entry) -> list[Setback]:
    """What all runs of a module say against it, beside the one that decides; the oldest first."""
    place = entries.index(chosen)
    found: list[Setback] = []
    for entry in entries[:place]:
        found += _before(entry, chosen)
    for entry in entries[place + 1 :]:
        found += _after(entry, chosen)
    return found


def since(entries: Sequence[Entry], entry: Entry) -> str:
    """The last run of the module after this one that went wrong, as a part of a sentence; empty without one."""
    after = [found for each in entries[entries.index(entry) + 1 :] for found in _after(each, entry)]
    return after[-1].why if after else ""


def went_wrong(entry: Entry) -> dict[str, Verdict]:
    """The stages of a run that failed or died, each with its verdict."""
    found = {name: verdict for name, verdict in evidence.verdicts(entry).items() if verdict in WRONG}
    return {name: verdict for name, verdict in found.items() if name != "run" or len(found) == 1}


def _before(entry: Entry, chosen: Entry) -> list[Setback]:
    """Of an earlier run: a death, and a failure of something that the newer run did not demand."""
    wrong = went_wrong(entry)
    if died := {name: verdict for name, verdict in wrong.items() if verdict in DIED}:
        return [Setback(entry.run, "crashes", _told(entry, died), excusable=True)]
    less = completeness.demanded_less(chosen, entry) if wrong and _same_kernel(entry, chosen) else ""
    if not less:
        return []
    return [Setback(entry.run, "tests", f"{_told(entry, wrong)}, and {chosen.run} takes nothing back: {less}", True)]


def _after(entry: Entry, chosen: Entry) -> list[Setback]:
    """Of a later run: whatever went wrong, until a complete run after it has passed."""
    wrong = went_wrong(entry)
    died = {name: verdict for name, verdict in wrong.items() if verdict in DIED}
    found = [Setback(entry.run, "crashes", _told(entry, died), excusable=True)] if died else []
    if wrong and (died or _same_kernel(entry, chosen)):
        found.append(Setback(entry.run, "tests", _told(entry, wrong), excusable=False))
    return found


def _same_kernel(entry: Entry, chosen: Entry) -> bool:
    """A module that is tried on another kernel than its own fails there, and nothing follows from that."""
    return entry.kernel in (chosen.kernel, "")


def _told(entry: Entry, wrong: dict[str, Verdict]) -> str:
    stages = ", ".join(f"{'the run' if name == 'run' else name} {verdict}" for name, verdict in wrong.items())
    return f"{entry.run}, a run of the same module, went wrong: {stages}"
