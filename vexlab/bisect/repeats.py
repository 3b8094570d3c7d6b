"""How often a check is run before it counts as passing, and how likely the answer of a search is wrong then.

A check that fails at a rate passes now and then on a commit that is bad. So a commit is bad as soon as it failed once,
and good when it passed so often that this is hardly chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vexlab.history.statistics import interval

RISK = 0.05  # of a wrong answer, that is taken
MOST = 50  # runs of a check on one commit


@dataclass(frozen=True)
class Rate:
    """How often a check failed where the failure is, of how many times that it was judged there."""

    failed: int
    judged: int

    @property
    def is_steady(self) -> bool:
        """Whether it failed each time."""
        return self.failed == self.judged

    @property
    def likely(self) -> float:
        """The rate that was seen."""
        return self.failed / self.judged

    @property
    def least(self) -> float:
        """The lowest rate that fits with what was seen (95 %)."""
        return interval(self.failed, self.judged)[0]

    def and_also(self, failed: int, judged: int) -> Rate:
        """The rate with more that was seen."""
        return Rate(self.failed + failed, self.judged + judged)


def times(rate: Rate, commits: int) -> int:
    """How often the check has to pass on a commit, for the risk of the whole search among so many commits."""
    if rate.is_steady:
        return 1
    steps = math.ceil(math.log2(commits + 1)) + 1
    return min(MOST, max(1, math.ceil(math.log(RISK / steps) / math.log(1 - rate.likely))))


def chance_of_error(rate: float, needed: Iterable[int]) -> float:
    """The chance that the commit that was found is the wrong one, if the check fails at this rate on bad ones.

    `needed` has a number for each other commit that could be it: how many passes would be chance if it were. Before the
    search each was as likely as any other (Bayes).
    """
    others = math.fsum((1 - rate) ** count for count in needed)
    return others / (1 + others)
