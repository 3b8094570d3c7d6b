"""Renders what checks came to over many runs: for people at a terminal, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vexlab.history.check_history import CheckHistory
from vexlab.history.past_runs import Outcome, PastRun
from vexlab.report.screen import Screen
from vexlab.report.sparkline import strip
from vexlab.report.terminal import STYLES, age
from vexlab.report.text import _clean

SIGNS = 30  # runs of a check that has one line


def show(found: Sequence[CheckHistory], runs: Mapping[str, PastRun], number: int, screen: Screen) -> None:
    """Print one check run by run, the newest of `number` first (0: all), or a line for each of several checks."""
    if len(found) == 1:
        [history] = found
        screen.say(f"{_clean(history.check)}: {rate(history)}", "bold")
        for outcome in history.outcomes[::-1][: number or None]:
            screen.say(line(outcome, runs[outcome.run]), STYLES[outcome.verdict][1], hang=4)
        return
    shown = list(runs)[-SIGNS:]
    width = max(len(_clean(each.check)) for each in found)
    for each, signs in zip(found, strips(found, shown), strict=True):
        screen.say(f"{_clean(each.check):<{width}}  {signs}  {rate(each)}", "red" if each.failed else "")


def strips(found: Sequence[CheckHistory], runs: Sequence[str]) -> list[str]:
    """The signs of each check in these runs, in their order."""
    by_run = ({outcome.run: outcome.verdict for outcome in each.outcomes} for each in found)
    return [strip(verdicts.get(name) for name in runs) for verdicts in by_run]


def rate(history: CheckHistory) -> str:
    """How often a check failed, with the interval in which its rate lies."""
    if not history.judged:
        return f"never judged in {len(history.outcomes)} runs"
    low, high = history.rate
    return f"failed in {history.failed} of {history.judged} runs (rate {low:.0%} to {high:.0%})"


def line(outcome: Outcome, run: PastRun) -> str:
    """What a check came to in a run, in a line."""
    of = [f"{age(run.started)} ago", f"kernel {run.kernel or '-'}", f"module {run.module[:12] or '-'}"]
    of += [f"commit {run.commit[:12]}"] if run.commit else []
    said = f": {_clean(outcome.words)}" if outcome.words else ""
    verdict = f"{STYLES[outcome.verdict][0]} {str(outcome.verdict).replace('_', ' ')}"
    return f"{run.name}  {verdict}, {outcome.seconds:.2f} s, {', '.join(of)}{said}"


def document(found: Sequence[CheckHistory]) -> list[dict[str, Any]]:
    """The histories as `--json` prints them."""
    return [
        {
            "check": each.check, "failed": each.failed, "judged": each.judged,
            "rate": dict(zip(("low", "high"), each.rate, strict=True)),
            "runs": [
                {"run": one.run, "verdict": one.verdict, "seconds": one.seconds, "said": one.words}
                for one in each.outcomes
            ],
        }
        for each in found
    ]  # fmt: skip
