"""What a target says of a cell in `vexlab_expected`, and whether what was found is that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vexlab.config import kernel_range
from vexlab.results.matrix import Finding, Tier
from vexlab.results.model import Verdict

ORDER = tuple(Tier)
_WORDS = {Tier.BUILD: "doesn't build", Tier.LOAD: "doesn't load", Tier.TEST: "doesn't pass"}
_RIGHT = {Tier.BUILD: "builds", Tier.LOAD: "loads", Tier.TEST: "passes"}


@dataclass(frozen=True)
class Expectation:
    """What is expected of a cell: to pass its tier, or to fail at `fails`, for one of `reasons` with that error.

    A reason is a pair of the words of the target, and of what the first error must hold, if that is said.
    """

    tier: Tier
    fails: Tier | None = None
    reasons: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it for people."""
        if self.fails is None:
            return _RIGHT[self.tier]
        return f"{_WORDS[self.fails]}: {'; '.join(words for words, _ in self.reasons)}"

    def is_met(self, found: Finding) -> bool:
        """Whether what was found is what was expected; what could not be tried never is."""
        if found.verdict is Verdict.NOT_RUN:
            return False
        if self.fails is None:
            return found.verdict is Verdict.PASSED and found.tier is self.tier
        is_there = found.verdict is not Verdict.PASSED and found.tier is self.fails
        return is_there and any(error in f"{found.error}\n{found.details}" for _, error in self.reasons)


def of_cell(entries: Sequence[Mapping[str, Any]], tier: Tier, variant: str, release: str) -> Expectation:
    """What entries of `vexlab_expected` say of a variant on a kernel, as far as a tier shows it.

    It is expected to end at the first tier of which one says so.
    """
    reached = ORDER[: ORDER.index(tier) + 1]
    meant = [
        entry for entry in entries
        if Tier(entry["fails"]) in reached and variant in entry.get("variants", [variant])
        and release and kernel_range.applies(entry.get("kernels", ""), release)
    ]  # fmt: skip
    if not meant:
        return Expectation(tier)
    fails = min((Tier(entry["fails"]) for entry in meant), key=ORDER.index)
    reasons = tuple(
        (f"{entry['reason']}{f' ({issue})' if (issue := entry.get('issue')) else ''}", entry.get("error", ""))
        for entry in meant if entry["fails"] == fails
    )  # fmt: skip
    return Expectation(tier, fails, reasons)


def difference(expected: Expectation, found: Finding) -> str:
    """Why what was found is not what was expected, for a line; empty when it is, or could not be tried."""
    if expected.is_met(found) or found.verdict is Verdict.NOT_RUN:
        return ""
    if expected.fails is None:
        return ""  # its error says it
    if found.verdict is Verdict.PASSED or ORDER.index(found.tier) > ORDER.index(expected.fails):
        return f"it should fail at {expected.fails}: {expected.reasons[0][0]}"
    if found.tier is not expected.fails:
        return f"it should get to {expected.fails}, and fail there: {expected.reasons[0][0]}"
    return f"its error is another one than {' or '.join(repr(error) for _, error in expected.reasons)}"
