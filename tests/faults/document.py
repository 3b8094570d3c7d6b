"""Make docs/reliability.md from what was seen of the injected faults: python -m tests.faults.document.

The table says what was seen last, also where that is not what is wanted, and names the faults that nobody ran yet.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults import fault
from tests.faults.fault import Fault

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "reliability.md"
INTRODUCTION = """\
# Injected faults, and what came of them

`make faults` injects each of these into a real lab and writes this file. It tells what was seen,
not what was expected. A fault passes when verdict and exit code are the ones that it must have,
nothing is left on the machine, and the next `vexlab up` comes to what it must. Anything else is in
the last column.

These count as left: processes, mounts, loop devices, sockets, temporary files, listening ports,
locks that are held, half-written files. A guest that is up and known to its lab does not count. The
next `up` is not run where the fault came before anything was begun.

The lab under test claims little of its filesystem, so that a run is short.
[development.md](development.md#adding-an-injected-fault) tells how to add a fault.
"""
HEADINGS = (
    "| fault | how it is injected | verdict | exit code | left | next `up` | as wanted |\n|---|---|---|---|---|---|---|"
)
NOT_RUN = ("", "", "", "", "not run yet")


def faults() -> dict[str, tuple[Fault, ...]]:
    """All faults by topic, in the order of their files."""
    names = sorted(path.stem for path in HERE.glob("test_*.py"))
    return {topic_of(name): importlib.import_module(f"tests.faults.{name}").FAULTS for name in names}


def topic_of(module: str) -> str:
    """The topic of a file of faults by the name of its module."""
    return module.removeprefix("test_").replace("_", " ")


def render(known: dict[str, tuple[Fault, ...]], seen: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The document as Markdown."""
    text = "\n".join(_sections(known, seen))
    count = sum(len(group) for group in known.values())
    right = sum(not seen[key]["wrong"] for key in _keys(known) if key in seen)
    return f"{INTRODUCTION}\n{count} faults, {right} of them as wanted.\n{text}\n"


def _keys(known: dict[str, tuple[Fault, ...]]) -> list[tuple[str, str]]:
    return [(topic, fault.title) for topic, group in known.items() for fault in group]


def _sections(known: dict[str, tuple[Fault, ...]], seen: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    for topic, group in known.items():
        yield f"\n## {topic.capitalize()}\n\n{HEADINGS}"
        for one in group:
            found = seen.get((topic, one.title))
            cells = (one.title, one.how, *(_cells(found) if found else NOT_RUN))
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cells(found: dict[str, Any]) -> tuple[str, ...]:
    left = "<br>".join(found["leftovers"]) or "nothing"
    wrong = "no: " + "<br>".join(found["wrong"]) if found["wrong"] else "yes"
    return found["verdict"], str(found["exit_code"]), left, found["next_up"] or "not run", wrong


def main() -> None:
    """Write the document, and the record without what is no fault any more or was seen again since."""
    known, seen = faults(), fault.read(fault.SEEN)
    fault.write_all(fault.SEEN, [seen[key] for key in sorted(_keys(known)) if key in seen])
    DOCUMENT.write_text(render(known, seen), encoding="utf-8")


if __name__ == "__main__":
    main()
