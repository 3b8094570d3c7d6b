"""The table of figures: medians, spread, ratios, goals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEADINGS = ("what", "median", "range", "n", "goal", "")


@dataclass(frozen=True)
class Goal:
    """A limit that a figure is held against."""

    limit: float
    at_least: bool = False

    def reached_by(self, value: float) -> bool:
        """Whether a figure is on the right side of the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        """The goal as the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {unit}"


def at_most(limit: float) -> Goal:
    """The figure should not be above this."""
    return Goal(limit)


def at_least(limit: float) -> Goal:
    """The figure should not be below this."""
    return Goal(limit, at_least=True)


@dataclass(frozen=True)
class Row:
    """One line: what was measured, all samples, their unit; or a remark and no figure."""

    what: str
    unit: str = ""
    samples: tuple[float, ...] = ()
    goal: Goal | None = None
    remark: str = ""
    # The ratio of two medians is not the median of the ratios; where it is given, it is the figure.
    exact: float | None = None

    @property
    def value(self) -> float:
        """The figure: the median of the samples, unless it is given."""
        return statistics.median(self.samples) if self.exact is None else self.exact

    def cells(self) -> tuple[str, ...]:
        """The texts of the line, one per heading."""
        if not self.samples:
            return (self.what, "-", "", "", "", self.remark)
        spread = f"{number(min(self.samples))} to {number(max(self.samples))}" if len(self.samples) > 1 else ""
        goal = self.goal.text(self.unit) if self.goal else ""
        reached = ("reached" if self.goal.reached_by(self.value) else "NOT reached") if self.goal else ""
        last = "; ".join(text for text in (reached, self.remark) if text)
        return (self.what, f"{number(self.value)} {self.unit}", spread, str(len(self.samples)), goal, last)


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def seconds(what: str, samples: Sequence[float], goal: Goal | None = None, remark: str = "") -> Row:
    """A line of times."""
    return Row(what, "s", tuple(samples), goal, remark)


def mebibytes(what: str, samples: Sequence[float], goal: Goal | None = None, remark: str = "") -> Row:
    """A line of sizes."""
    return Row(what, "MiB", tuple(samples), goal, remark)


def ratio(what: str, of: Sequence[float], to: Sequence[float], goal: Goal | None = None, remark: str = "") -> Row:
    """The ratio of two medians; its spread is that of the pairs that were measured one after the other."""
    pairs = tuple(one / other for one, other in zip(of, to, strict=True))
    return Row(what, "times", pairs, goal, remark, statistics.median(of) / statistics.median(to))


def missing(what: str, why: str) -> Row:
    """A line for what could not be measured here."""
    return Row(what, remark=f"not measured: {why}")


def markdown(title: str, rows: Sequence[Row]) -> str:
    """The rows as a table that reads well on a terminal, too."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([f"### {title}", "", line(HEADINGS), rule, *(line(texts) for texts in cells[1:]), ""])
