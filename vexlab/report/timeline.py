"""What ran when, and in which guest: as a picture that grows and shrinks with the page, and as rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vexlab.report.terminal import clock
from vexlab.results.model import Run, Verdict, asked_for

ROW = 46  # pixels of a guest's row: its name above, its bars below
AXIS = 22
NAMED = 7.0  # percent of the width that a bar needs for its name
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)
TICKS = 5  # at the most, so that their words have room on a narrow page


@dataclass(frozen=True)
class Bar:
    """A stage in one execution; times in seconds of one clock, `verdict` None when it was only brought about."""

    stage: str
    began: float
    ended: float
    checks_began: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Death:
    """When a guest was seen to be dead, and of what."""

    at: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Execution:
    """One execution of a playbook: `title` is empty for the first; `fresh`: it started a guest, ready at `ready`."""

    title: str
    began: float
    ended: float
    bars: tuple[Bar, ...] = ()
    fresh: bool = False
    ready: float | None = None
    death: Death | None = None


def picture(run: Run, executions: Sequence[Execution]) -> dict[str, Any]:
    """Return what a template draws: rows with bars in percent of the width, ticks, and the same as a table.

    A run whose times were not kept has its stages one after the other, and `kept` is False.
    """
    kept = bool(executions)
    seen = [_judged(each, run, executions) for each in executions] if kept else _one_after_the_other(run)
    start = min((each.began for each in seen), default=0.0)
    total = max((each.ended for each in seen), default=0.0) - start or 1.0

    def part(at: float) -> float:
        return round(100 * (at - start) / total, 2)

    rows, guests = [], 0
    last = max((number for number, each in enumerate(seen) if each.fresh), default=None)
    for number, each in enumerate(seen):
        guests += each.fresh or number == 0
        death = {"x": part(each.death.at), "at": clock(each.death.at - start), "of": each.death} if each.death else None
        rows.append({
            "y": number * ROW,
            "title": ", ".join(filter(None, (_where(run, guests, is_last=number == last), each.title))),
            "x": part(each.began), "width": part(each.ended) - part(each.began),
            "ready": part(each.ready) if each.ready is not None else None,
            "saved": bool(number == last and run.guest and run.guest.warm),
            "bars": [_drawn(bar, part) for bar in each.bars],
            "death": death,
        })  # fmt: skip
    table = [
        {"where": row["title"], "bar": bar, "at": clock(bar.began - start), "took": clock(bar.ended - bar.began)}
        for row, each in zip(rows, seen, strict=True)
        for bar in each.bars
    ]
    height = len(rows) * ROW
    ticks = [{"x": part(start + at), "text": clock(at)} for at in _ticks(total)]
    return {"kept": kept, "rows": rows, "ticks": ticks, "height": height, "axis": height + AXIS, "table": table}


def _where(run: Run, guest: int, *, is_last: bool) -> str:
    """Return the name of a guest; how it came up is known of the last one that was started."""
    if run.device is not None:
        return "test hardware"
    how = "" if not is_last or run.guest is None else " (from a saved state)" if run.guest.warm else " (booted)"
    return f"guest {guest}{how}"


def _drawn(bar: Bar, part: Any) -> dict[str, Any]:
    """Return a bar with its part that is the role's, and whether its name has room."""
    x, end = part(bar.began), part(bar.ended)
    checks = part(bar.checks_began) if bar.checks_began is not None else end
    return {
        "bar": bar, "x": x, "width": round(max(end - x, 0.3), 2), "role": round(max(checks - x, 0.0), 2),
        "named": end - x >= NAMED,
    }  # fmt: skip


def _judged(execution: Execution, run: Run, executions: Sequence[Execution]) -> Execution:
    """Return an execution with the run's own verdict of each stage that it alone had judged."""
    times = Counter(bar.stage for each in executions for bar in each.bars if bar.verdict is not None)
    known = {stage.name: stage.verdict for stage in run.stages}

    def judged(bar: Bar) -> Bar:
        alone = bar.verdict is not None and times[bar.stage] == 1
        return replace(bar, verdict=known.get(bar.stage, bar.verdict)) if alone else bar

    return replace(execution, bars=tuple(judged(bar) for bar in execution.bars))


def _one_after_the_other(run: Run) -> list[Execution]:
    at, bars = 0.0, []
    for stage in asked_for(run):
        if stage.seconds:
            bars.append(Bar(stage.name, at, at + stage.seconds, None, stage.verdict))
            at += stage.seconds
    return [Execution("", 0.0, at, tuple(bars))] if bars else []


def _ticks(total: float) -> list[float]:
    """Return round times up to a total, not more than there is room for."""
    step = next((step for step in STEPS if total / step <= TICKS), STEPS[-1])
    return [float(step * number) for number in range(int(total // step) + 1)]
