"""What an injected fault is, and what was seen of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.e2e.harness import Done
    from tests.faults.fault_site import Site

SEEN = Path(__file__).with_name("seen.jsonl")  # what was seen last of each fault; docs/reliability.md is made from it


@dataclass(frozen=True)
class Fault:
    """One fault: how it is injected, and what has to come of it.

    `inject` does it and returns how the command ended that it hit; `how` says that in words, for the document.
    `verdict` is the one in the results of the run that it hit, `no run` when there must be none; `says` is in what the
    command told the person. `lab` is what the fault finds: a guest that is `up`, one that is `down`, or no lab at all.
    `next_up` is what `vexlab up` comes to afterwards: `passed`, or the words of its refusal; empty when it is not run,
    since there is nothing that the fault could have changed. `as_user`: it is run as an ordinary user, since root
    passes what it is about.
    """

    title: str
    how: str
    inject: Callable[[Site], Done] = field(repr=False)
    verdict: str
    exit_code: int
    lab: Literal["up", "down", "gone"] = "down"
    says: tuple[str, ...] = ()
    next_up: str = "passed"
    in_test: bool = False  # `make test` runs it as well, not only `make faults`

    def __str__(self) -> str:
        """Return the name that pytest shows."""
        return self.title.replace(" ", "-")


@dataclass(frozen=True)
class Seen:
    """What came of a fault. `leftovers` are lines that name each thing; `wrong` says what is not as wanted."""

    topic: str
    title: str
    how: str
    verdict: str
    exit_code: int | None
    leftovers: tuple[str, ...]
    next_up: str
    wrong: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Append one line, in one write: several processes may do so at once."""
        with path.open("ab", buffering=0) as record:
            record.write(json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n")


def read(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What was seen of each fault, by topic and title; the last line of a fault counts."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    documents: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {(document["topic"], document["title"]): document for document in documents}


def write_all(path: Path, documents: list[dict[str, Any]]) -> None:
    """Replace a record by these lines."""
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents), encoding="utf-8")
