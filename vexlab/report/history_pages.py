"""Renders what earlier runs tell as HTML pages: all runs, two compared, checks over the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from vexlab.history.changes import NEW, Class
from vexlab.history.check_history import CheckHistory
from vexlab.history.comparison import Comparison
from vexlab.history.past_runs import PastRun
from vexlab.report import check_history, comparison, sparkline, templating

OPEN = (*NEW, Class.STILL_FAILING, Class.FIXED)
"""Classes that a reader sees at once."""
NO_LINKS: Mapping[str, str] = MappingProxyType({})


def of_comparison(found: Comparison, links: Mapping[str, str] = {}, doubts: Sequence[str] = ()) -> str:
    """Return the page of a comparison; `links` are to the pages of runs by name, `doubts` what to know beforehand."""
    by_class = [(kind, [change for change in found.changes if change.kind is kind]) for kind in Class]
    return templating.render(
        "comparison.html.j2",
        found=found,
        links=links,
        remarks=[*doubts, *found.remarks],
        summary=comparison.summary(found),
        classes=[(kind, changes) for kind, changes in by_class if changes],
        open=OPEN,
        same=comparison.SAME,
        times=comparison.times(found),
        slower=[comparison.slower(slow) for slow in found.times.slow],
    )


def of_runs(
    runs: Sequence[PastRun],
    words: Mapping[str, str],
    *,
    pages: Mapping[str, str] = {},
    compared: Mapping[str, str] = {},
    doubts: Sequence[str] = (),
    checks_page: str = "",
    matrices: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page of these runs, in this order.

    `words` has what is said of a run that didn't end in the place of its verdict; `pages` and `compared` are links by
    the name of a run, `checks_page` is one to the page of all checks, `matrices` are links with a summary of each.
    """
    rows = [
        {
            "run": run, "word": words.get(run.name, ""), "page": pages.get(run.name, ""),
            "compared": compared.get(run.name, ""), "wrong": sum(max(0, count) for count in run.wrong.values()),
            "bars": sparkline.bars(run.wrong.values()), "told": _told(run),
        }
        for run in runs
    ]  # fmt: skip
    labs, verdicts = sorted({run.lab for run in runs}), sorted({run.verdict for run in runs})
    return templating.render(
        "runs.html.j2", rows=rows, remarks=doubts, checks_page=checks_page, matrices=matrices,
        labs=[(lab, lab) for lab in labs],
        verdicts=[(verdict, templating.word(verdict)) for verdict in verdicts],
    )  # fmt: skip


def of_checks(
    found: Sequence[CheckHistory],
    runs: Mapping[str, PastRun],
    links: Mapping[str, str] = {},
    runs_page: str = "",
) -> str:
    """Return the page of these checks over the runs, which are in the order of time; one alone has a line for each."""
    alone = found[0] if len(found) == 1 else None
    shown = list(runs)[-check_history.SIGNS :]
    rates = [check_history.rate(each) for each in found]
    lines = [] if alone else list(zip(found, rates, check_history.strips(found, shown), strict=True))
    return templating.render(
        "checks.html.j2", title="Checks over the runs", many=f"{len(found)} checks, {len(runs)} runs", alone=alone,
        rates=rates, runs=runs, links=links, runs_page=runs_page, signs=len(shown), lines=lines,
    )  # fmt: skip


def _told(run: PastRun) -> str:
    """What the bars say, for somebody who can't see them."""
    words = {-1: "not run", 0: "nothing wrong"}
    return ", ".join(f"{stage}: {words.get(count, f'{count} wrong')}" for stage, count in run.wrong.items())
