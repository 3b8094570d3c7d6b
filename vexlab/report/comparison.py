"""Renders a comparison of two runs: for people at a terminal, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vexlab.history.changes import NEW, Change, Class, new_failures
from vexlab.history.comparison import Comparison, Slow
from vexlab.history.differences import Difference
from vexlab.report.screen import Screen
from vexlab.report.terminal import STYLES, age, clock
from vexlab.report.text import _clean
from vexlab.results.model import Run, Verdict

SHOWN = {Class.NEW_PASS: 5, Class.APPEARED: 5, Class.DISAPPEARED: 5}
USUAL = 20  # changes of a class that are shown
SAME = "nothing else that is recorded differs: neither module, source, kernel nor suite"


def show(found: Comparison, screen: Screen) -> None:
    """Print a comparison: what is new first, then what else changed, what else differs, what became slow."""
    for title, run in (("A", found.old), ("B", found.new)):
        sign, style = STYLES[run.verdict]
        screen.say(f"{title} {sign} {about(run)}", style)
    for remark in found.remarks:
        screen.say(remark, "yellow")
    screen.say(summary(found), "bold")
    show_changes(found.changes, screen)
    show_differences(found.differences, SAME, screen)
    for text in found.source:
        screen.say(_clean(text), "dim", indent=4)
    screen.say(f"\n{times(found)}", "bold" if found.times.slow else "")
    for slow in found.times.slow[:USUAL]:
        screen.say(slower(slow), indent=2, hang=4)


def show_changes(found: Sequence[Change], screen: Screen) -> None:
    """Print what changed, class by class; in red what is wrong that was not, and that nothing explains."""
    wrong = new_failures(found)
    for kind in Class:
        changes = [change for change in found if change.kind is kind]
        if changes:
            screen.say(f"\n{kind}: {len(changes)}", "bold")
        for change in changes[: SHOWN.get(kind, USUAL)]:
            screen.say(line(change), "red" if change in wrong else "", indent=2, hang=4)
            if change.explained:
                screen.say(change.explained, "dim", indent=6)
        if len(changes) > SHOWN.get(kind, USUAL):
            screen.say(f"and {len(changes) - SHOWN.get(kind, USUAL)} more; --json has all", "dim", indent=2)


def show_differences(found: Sequence[Difference], same: str, screen: Screen) -> None:
    """Print what else differs; `same` is said where nothing does."""
    screen.say("\nwhat else differs:" if found else f"\n{same}", "bold" if found else "")
    for each in found:
        screen.say(
            f"{_clean(each.what)}: {_clean(each.old) or 'none'} → {_clean(each.new) or 'none'}", indent=2, hang=4
        )


def about(run: Run) -> str:
    """A run in a line: its name, what it came to, when, and of what."""
    when = f"{age(run.started)} ago, " if age(run.started) else ""
    return f"{run.run}: {run.verdict}, {when}target {_clean(run.target)}, kernel {_clean(run.kernel) or 'not known'}"


def summary(found: Comparison) -> str:
    """How much is new, and how much was compared."""
    return f"{summary_of(found.changes)}; {found.common} checks were judged in both"


def summary_of(found: Sequence[Change]) -> str:
    """How much is new, and how much is in each other class."""
    new = len(new_failures(found))
    explained = sum(change.kind in NEW for change in found) - new
    told = [f"{new or 'no'} new failure{'' if new == 1 else 's'}", *([f"{explained} explained"] if explained else [])]
    others = [f"{count} {kind}" for kind, count in _counts(found).items() if count and kind not in NEW]
    return ", ".join(told + others)


def line(change: Change) -> str:
    """A change in a line: the check, its verdicts, what it said."""
    verdicts = " → ".join(_word(verdict) for verdict in (change.old, change.new))
    why = _clean(change.why) if not change.explained.endswith(change.why) or not change.why else ""
    return f"{_clean(change.check)}: {verdicts}{f': {why}' if why else ''}"


def times(found: Comparison) -> str:
    """What is to be said of times before the checks that became slow."""
    if found.times.why_not:
        return f"times are not compared: {found.times.why_not}"
    pace = f" (everything took {found.times.pace:.1f} times as long)" if found.times.pace >= 1.1 else ""
    return f"slower than usual, beyond their noise{pace}:" if found.times.slow else f"no check became slow{pace}"


def slower(slow: Slow) -> str:
    """A check that became slow, in a line."""
    usual = f"{slow.usual:.2f} s in {slow.runs} earlier runs"
    return f"{_clean(slow.check)}: {clock(slow.now)}, {slow.now / slow.usual:.1f} times the median of {usual}"


def document(found: Comparison) -> dict[str, Any]:
    """The comparison as `--json` prints it."""
    return {
        "old": _run(found.old), "new": _run(found.new), "judged_in_both": found.common,
        "new_failures": [change.check for change in found.new_failures], "counts": _counts(found.changes),
        "changes": [
            {"check": each.check, "class": each.kind, "old": each.old, "new": each.new, "why": each.why,
             "explained": each.explained} for each in found.changes
        ],
        "differences": [{"what": each.what, "old": each.old, "new": each.new} for each in found.differences],
        "source": list(found.source),
        "slower": [
            {"check": each.check, "usual_seconds": each.usual, "seconds": each.now, "runs": each.runs}
            for each in found.times.slow
        ],
        "pace": round(found.times.pace, 2), "times_not_compared": found.times.why_not, "remarks": list(found.remarks),
    }  # fmt: skip


def _counts(found: Sequence[Change]) -> dict[str, int]:
    return {str(kind): sum(change.kind is kind for change in found) for kind in Class}


def _run(run: Run) -> dict[str, Any]:
    return {"run": run.run, "verdict": run.verdict, "target": run.target, "kernel": run.kernel, "started": run.started}


def _word(verdict: Verdict | None) -> str:
    return "not there" if verdict is None else str(verdict).replace("_", " ")
