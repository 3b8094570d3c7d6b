"""Numbers and verdicts as a few characters of a line."""

from __future__ import annotations

from collections.abc import Iterable

from vexlab.report.terminal import STYLES
from vexlab.results.model import Verdict

BARS = "▁▂▃▄▅▆▇█"
NONE = "·"


def bars(counts: Iterable[int]) -> str:
    """A bar for each count: the lowest is none, each higher one twice as many; a dot is what there is no count of (-1).

    On a scale of doublings one failure can be told from none, beside hundreds.
    """
    return "".join(NONE if count < 0 else BARS[min(count.bit_length(), len(BARS) - 1)] for count in counts)


def strip(verdicts: Iterable[Verdict | None]) -> str:
    """The sign of each verdict; a blank is a run that doesn't have the check."""
    return "".join(" " if verdict is None else STYLES[verdict][0] for verdict in verdicts)
