"""The statistics by which a past explains a failure, or doesn't. Nothing here knows of runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

DOUBT = 0.05  # below this probability chance is no explanation
Z = 1.959964  # of the normal distribution, for an interval of 95 %
SLOWER = 1.5  # times as long as usual is worth a word
LEAST_SECONDS = 0.05  # below that a difference says more of the clock and the scheduler than of a filesystem
LEAST_RUNS = 5  # from which a noise can be told


def interval(failed: int, judged: int) -> tuple[float, float]:
    """The 95 % interval of a rate by Wilson's score, which holds for few trials and at the edges as well.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not judged:
        return 0.0, 1.0
    rate, square = failed / judged, Z * Z / judged
    middle = rate + square / 2
    half = Z * math.sqrt(rate * (1 - rate) / judged + square / (4 * judged))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def by_chance(past: tuple[int, int], now: tuple[int, int]) -> float:
    """The probability that at least so many of the hits are in `now`, if past and now have one rate.

    Both are (hits, trials). It is Fisher's exact test, one-sided: no assumption beside that of one rate.
    """
    (hits, trials), (hits_now, trials_now) = past, now
    total = hits + hits_now
    ways = sum(
        math.comb(trials_now, count) * math.comb(trials, total - count)
        for count in range(hits_now, min(trials_now, total) + 1)
    )
    return ways / math.comb(trials + trials_now, total)


def is_slower(seconds: float, usual: Sequence[float], factor: float) -> bool:
    """Whether a time is beyond the noise of earlier ones: 1.5 times their median, and longer than any of them.

    `factor`: how much longer everything took this time, which is the machine's doing. Too few earlier times tell no
    noise.
    """
    if len(usual) < LEAST_RUNS:
        return False
    middle, most = statistics.median(usual) * factor, max(usual) * factor
    return seconds >= SLOWER * middle and seconds > most and seconds - middle >= LEAST_SECONDS


def pace(times: Sequence[tuple[float, Sequence[float]]]) -> float:
    """How much longer everything took than usual, from each time with its earlier ones; at least 1."""
    ratios = [now / statistics.median(usual) for now, usual in times if now and usual and statistics.median(usual) > 0]
    return max(1.0, statistics.median(ratios)) if ratios else 1.0
