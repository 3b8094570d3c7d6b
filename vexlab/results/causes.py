"""Failures of one cause are one, and the most telling of a stage comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vexlab.results.model import DIED, Check, Verdict

HARMLESS = (Verdict.PASSED, Verdict.SKIPPED, Verdict.XFAILED)

# The rule: what the kernel says of itself tells most, then what doesn't end, then wrong data, then an errno alone,
# which may be the consequence of any of the others. Within one kind the order in which the checks ran decides.
_KERNEL = re.compile(
    r"\bthe kernel (?:reported|complained|hangs)\b|\bthe guest ran out of memory\b|\ba signal ended it\b"
)
_ENDLESS = re.compile(r"\bdid not end\b")
_ERRNO = re.compile(r"\bE[A-Z]{2,}[A-Z0-9]*\b")
_PROMISE = 120  # characters of what a check is there for, in a line


@dataclass(frozen=True)
class Cause:
    """Checks that went wrong with the same words: the one that tells most, and the others in their order."""

    lead: Check
    others: tuple[Check, ...]

    @property
    def line(self) -> str:
        """What happened, in one line: how many checks it is, what the first of them is there for, what came."""
        count = len(self.others) + 1
        who = self.lead.name if count == 1 else f"{count} checks, first {self.lead.name}"
        return f"{who}: {words(self.lead)}"


def causes(checks: Iterable[Check]) -> list[Cause]:
    """The causes of what went wrong among these checks, the most telling first."""
    groups: dict[object, list[Check]] = {}
    for check in sorted((check for check in checks if check.verdict not in HARMLESS), key=_rank):
        groups.setdefault((check.verdict, alike(check)), []).append(check)
    return [Cause(lead, tuple(others)) for lead, *others in groups.values()]


def words(check: Check) -> str:
    """What a check that went wrong is there for, as far as that is a short sentence, and what came."""
    promise = re.split(r"(?<=[.;:])\s", check.promise, maxsplit=1)[0].rstrip(".;:")
    came = first_line(check.message) or check.verdict
    return f"{promise}. {came}" if promise and len(promise) <= _PROMISE else came


def first_line(text: str) -> str:
    """The first line of a text that isn't blank."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _rank(check: Check) -> int:
    """How telling a check is, 0 the most; what did not run tells nothing."""
    if check.verdict is Verdict.NOT_RUN:
        return 5
    if check.verdict in DIED:
        return 0
    for rank, pattern in enumerate((_KERNEL, _ENDLESS), start=1):
        if pattern.search(check.message):
            return rank
    return 4 if _ERRNO.search(first_line(check.message)) else 3


def alike(check: Check) -> str:
    """The words of a check without what differs among checks of one cause: numbers, addresses, the case tried."""
    case = check.name.partition("[")[2].removesuffix("]")
    line = first_line(check.message)
    return re.sub(r"\b(?:0x)?[0-9a-f]{8,16}\b|\d+", "#", line.replace(case, "") if len(case) > 1 else line)
