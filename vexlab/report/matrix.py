"""A matrix for people: a table on the terminal, Markdown, and what GitHub shows of it. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from vexlab.report import github
from vexlab.report.screen import cut
from vexlab.report.terminal import clock
from vexlab.report.text import cell as in_cell
from vexlab.report.text import code, fence, place_of
from vexlab.results.matrix import CellRecord, MatrixRecord, Tier
from vexlab.results.model import Verdict

_PASSED = {Tier.BUILD: "builds", Tier.LOAD: "loads", Tier.TEST: "passes"}
_FAILED = {Tier.BUILD: "doesn't build", Tier.LOAD: "doesn't load", Tier.TEST: "doesn't pass"}
_SIGNS = {"✔": "green", "✘": "bold red", "!": "yellow", "·": "dim"}
HEADINGS = ("target", "kernel", "release", "variant", "result", "time")
HOST = "host"  # the heading after them, where hypervisors did the cells


def sign(cell: CellRecord) -> str:
    """One character for a cell: as expected, not so, not tried, not over."""
    if cell.found.verdict is Verdict.NOT_RUN:
        return "!" if cell.found.problem else "·"
    if not cell.expected:
        return "·"
    return "✔" if cell.as_expected else "✘"


def result(cell: CellRecord) -> str:
    """What came of a cell, in a few words."""
    found = cell.found
    if found.verdict is Verdict.NOT_RUN:
        return "not tried" if found.problem else ""
    passed = found.verdict is Verdict.PASSED
    words = [(_PASSED if passed else _FAILED)[found.tier]]
    words += [str(found.verdict)] if found.verdict not in (Verdict.PASSED, Verdict.FAILED) else []
    words += [f"{found.warnings} warning{'s' * (found.warnings != 1)}"] if passed and found.warnings else []
    words += ["as expected"] if _failed_as_it_should(cell) else []
    return ", ".join([*words, *(["kept"] if cell.kept else [])])


def why(cell: CellRecord) -> str:
    """Why, in a line: why it was not tried, isn't as expected, or was expected to fail; else the first error."""
    if _failed_as_it_should(cell):
        return cell.expected.partition(": ")[2]
    return cell.found.problem or ": ".join(filter(None, (cell.unexpected, cell.found.error)))


def _failed_as_it_should(cell: CellRecord) -> bool:
    return cell.as_expected and cell.found.verdict is not Verdict.PASSED


def name(cell: CellRecord) -> str:
    """The cell as it is named in a line."""
    return f"{cell.target} {cell.kernel} {cell.variant}"


def table(cells: Sequence[CellRecord], doing: Mapping[str, str]) -> Table:
    """All cells, with what is known of each; `doing` says what those are at that are at work."""
    made = Table(box=None, pad_edge=False)
    has_hosts = any(cell.host for cell in cells)
    for heading in (*HEADINGS, *([HOST] if has_hosts else [])):
        made.add_column(heading, no_wrap=True)
    made.add_column("")
    for cell in cells:
        mark, seconds = sign(cell), cell.found.seconds
        at_work = cell.name in doing
        shown = Text("·", "dim") if at_work else Text(f"{mark} {result(cell)}", _SIGNS[mark])
        what, where = (cell.target, cell.kernel, cell.found.release, cell.variant), [cell.host] if has_hosts else []
        made.add_row(
            *map(Text, what), shown, clock(seconds) if seconds else "", *map(Text, where),
            cut(doing.get(cell.name) or _short(cell)),
        )  # fmt: skip
    return made


def _short(cell: CellRecord) -> str:
    """Why, with the path of the first error as it is within the tree: a row has little room."""
    return why(cell).replace(f"{cell.source}/", "", 1) if cell.source else why(cell)


def line(cell: CellRecord) -> str:
    """A cell that is over, in a line."""
    took = f" ({clock(cell.found.seconds)})" if cell.found.seconds else ""
    words = f"{sign(cell)} {name(cell)}: {result(cell)}{took}{f' on {cell.host}' if cell.host else ''}"
    reason = next(iter(why(cell).splitlines()), "")
    return f"{words}: {reason}" if reason else words


def not_as_expected(record: MatrixRecord) -> list[CellRecord]:
    """The cells that were tried and aren't as expected."""
    return [cell for cell in record.cells if not cell.as_expected and cell.found.verdict is not Verdict.NOT_RUN]


def not_tried(record: MatrixRecord) -> list[CellRecord]:
    """The cells that could not be tried, or of which nothing is known."""
    return [cell for cell in record.cells if cell.found.verdict is Verdict.NOT_RUN]


def summary(record: MatrixRecord) -> str:
    """A matrix in a sentence."""
    good, kept = sum(cell.as_expected for cell in record.cells), [cell for cell in record.cells if cell.kept]
    working = sum(host.cells > 0 for host in record.hosts)
    where = f"{working} hypervisor{'s' * (working != 1)}" if record.hosts else f"{record.cpus} CPUs"
    words = f"{good} of {len(record.cells)} cells as expected, in {clock(record.seconds)} on {where}"
    if kept:
        which = "all of them" if len(kept) == len(record.cells) else ", ".join(map(name, kept))
        words += f"; kept, since nothing changed: {which}"
    return words


def markdown(record: MatrixRecord) -> str:
    """Return a matrix as Markdown: a row for each cell, then what went wrong at length, with the command for it."""
    headings = (*HEADINGS, *([HOST] if record.hosts else []), "")
    lines = [f"| {' | '.join(headings)} |".replace("|  |", "| |"), f"|{'---|' * len(headings)}"]
    for cell in record.cells:
        found = cell.found
        time = clock(found.seconds) if found.seconds else ""
        shown = (
            cell.target, cell.kernel, found.release, cell.variant, f"{sign(cell)} {result(cell)}", time,
            *([cell.host] if record.hosts else []), why(cell),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(in_cell, shown))} |")
    lines += ["", f"{summary(record)}.", ""]
    for cell in [*not_as_expected(record), *not_tried(record)]:
        lines += [f"**{in_cell(name(cell))}**: {code(cell.command)}", ""]
        lines += [fence(cell.found.details or why(cell), "are in its log"), ""]
    return "\n".join(lines)


def tell_github(record: MatrixRecord, environment: Mapping[str, str]) -> str:
    """Add the matrix to the summary of the step; returns the lines to print, with a new line each.

    Outside of GitHub Actions, as `environment` tells, nothing is done, and nothing returned.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return ""
    if step := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(f"### vexlab matrix\n\n{markdown(record)}\n")
    workspace = environment.get("GITHUB_WORKSPACE", "")
    lines = [
        github.error(name(cell), why(cell), place_of("", cell.found.error), workspace, cell.source)
        for cell in [*not_as_expected(record), *not_tried(record)]
    ]
    return "".join(f"{each}\n" for each in lines[: github.SHOWN])
