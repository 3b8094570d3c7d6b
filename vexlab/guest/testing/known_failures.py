"""The checks that a target is known to fail: found by name, and expected to fail on the kernels that are named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest


def of_stage(known: Sequence[dict[str, Any]], stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a target's list that are about a stage, each with the name of its check in that stage."""
    for entry in known:
        where, _, name = entry["check"].partition("/")
        if where == stage:
            yield name, entry


def matching(name: str, collected: Collection[str]) -> list[str]:
    """The checks of a stage that an entry's name means: a star stands for any text, so `rename.*` is a whole module."""
    pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
    return [check for check in collected if pattern.fullmatch(check)]


def reason(entry: dict[str, Any]) -> str:
    """Why an entry's checks are expected to fail, in one line."""
    now_and_then = "fails now and then: " if entry.get("sometimes") else ""
    issue = f" ({entry['issue']})" if entry.get("issue") else ""
    return f"{now_and_then}{entry['reason']}{issue}"


class OutOfDate:
    """Notices an entry for several checks of which none fails any more. That of a single check fails by itself."""

    def __init__(self) -> None:
        """Begin without entries."""
        self._meant: dict[str, set[str]] = {}
        self._verdicts: dict[str, str] = {}

    def add(self, name: str, checks: Collection[str]) -> None:
        """Expect one of these checks to fail."""
        self._meant[name] = set(checks)

    def ended(self, check: str, verdict: str) -> None:
        """Take note of a check's verdict."""
        self._verdicts[check] = verdict

    def names(self) -> list[str]:
        """Return the entries all of whose checks ended and passed; one that was skipped says nothing."""
        verdicts = {
            name: {self._verdicts.get(check, "not_run") for check in checks} for name, checks in self._meant.items()
        }
        return [name for name, found in verdicts.items() if found - {"skipped"} == {"passed"}]


def unknown(names: Collection[str], collected: Collection[str], stage: str) -> list[str]:
    """What to say about each name that no check of the stage has."""
    said = []
    for name in sorted(name for name in set(names) if not matching(name, collected)):
        near = difflib.get_close_matches(name, collected, n=1)
        meant = f"; did you mean {stage}/{near[0]}?" if near else ""
        said.append(f"{stage}/{name} is no check of stage {stage}{meant}")
    return said


def expect(checks: dict[str, pytest.Item], name: str, entry: dict[str, Any], out_of_date: OutOfDate) -> None:
    """Expect the checks that an entry means to fail: its one check always, of several one, or now and then."""
    meant = matching(name, checks)
    always = not entry.get("sometimes")
    for check in meant:
        mark = pytest.mark.xfail(reason=reason(entry), strict=always and "*" not in name)
        checks[check].add_marker(mark)
    if always and "*" in name:
        out_of_date.add(name, meant)
