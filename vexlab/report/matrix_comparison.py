"""Renders a comparison of two matrices: for people at a terminal, for programs, as a page; and the page of a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vexlab.history.matrices import MatrixComparison
from vexlab.report import comparison, matrix, templating
from vexlab.report.screen import Screen
from vexlab.results.matrix import MatrixRecord

SAME = "every cell was built for the same kernel, by the same compiler"


def summary(found: MatrixComparison) -> str:
    """How many cells are wrong that were not, and how many were compared."""
    return f"{comparison.summary_of(found.changes)}; {found.common} cells came to a verdict in both"


def show(found: MatrixComparison, screen: Screen) -> None:
    """Print a comparison: what is new first, then what else differs."""
    for title, record in (("A", found.old), ("B", found.new)):
        screen.say(f"{title} {record.name}: {matrix.summary(record)}")
    for remark in found.remarks:
        screen.say(remark, "yellow")
    screen.say(summary(found), "bold")
    comparison.show_changes(found.changes, screen)
    comparison.show_differences(found.differences, SAME, screen)


def document(found: MatrixComparison) -> dict[str, Any]:
    """The comparison as `--json` prints it."""
    return {
        "old": found.old.name, "new": found.new.name, "tier": found.new.tier, "judged_in_both": found.common,
        "new_failures": [change.check for change in found.new_failures],
        "changes": [
            {"cell": each.check, "class": each.kind, "old": each.old, "new": each.new, "why": each.why,
             "explained": each.explained} for each in found.changes
        ],
        "differences": [{"what": each.what, "old": each.old, "new": each.new} for each in found.differences],
        "remarks": list(found.remarks),
    }  # fmt: skip


def page(found: MatrixComparison) -> str:
    """Return the page of a comparison of two matrices."""
    return templating.render(
        "matrices.html.j2", found=found, summary=summary(found), same=SAME,
        summaries=[matrix.summary(record) for record in (found.old, found.new)],
    )  # fmt: skip


def page_of(
    record: MatrixRecord, runs: Mapping[str, str], before: MatrixComparison | None, links: Sequence[str]
) -> str:
    """Return the page of a matrix: its cells with links to their runs, and what is new against the one before it.

    `runs` has the pages of runs by name; `links` are those back to the page of all runs, and to the matrix before.
    """
    rows = [
        {"cell": cell, "sign": matrix.sign(cell), "result": matrix.result(cell), "why": matrix.why(cell),
         "page": runs.get(cell.found.run, "")}
        for cell in record.cells
    ]  # fmt: skip
    return templating.render(
        "matrix.html.j2", record=record, rows=rows, summary=matrix.summary(record), before=before,
        new=summary(before) if before else "", links=list(links),
    )  # fmt: skip
