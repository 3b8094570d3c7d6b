"""The commands about runs that are kept: a list of them, and the removal of those that nobody misses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vexlab.cli import completion
from vexlab.cli.common import html_option, json_option, one_form, stderr, stdout, write_page
from vexlab.cli.first_screen import WholeSentences
from vexlab.cli.history import asked, edited, warn
from vexlab.config import user_directories
from vexlab.errors import UsageProblem
from vexlab.history.past_runs import PastRun
from vexlab.report import history_pages, sparkline
from vexlab.report.terminal import STYLES, age
from vexlab.report.text import _clean
from vexlab.results import archive, results_file
from vexlab.run import prune_runs, run_directory

LISTED = 20  # runs that are listed when nothing else was asked for
KEPT = 10  # of each lab, when nothing else was asked for


HEADING = ("run", "age", "target", "verdict", "wrong", "by stage", "first cause")
FIRST_TO_GO = ("by stage", "wrong", "target")  # where the screen has no room for the causes: a cause tells more
ROOM = 40  # columns of a cause that tell what it is


def _cells(run: PastRun, word: str) -> list[Text]:
    """A run as it is listed; `word` is what is said of one that has not ended, in the place of its verdict."""
    sign, style = ("…", "cyan") if word else STYLES[run.verdict]
    wrong = sum(max(0, count) for count in run.wrong.values())
    bars = sparkline.bars(run.wrong.values())
    cause = run.cause.replace(f": {run.verdict}: ", ": ", 1)  # which the line has already, and the screen is narrow
    texts = [run.name, age(run.started), run.target, f"{sign} {word or run.verdict}", str(wrong or ""), bars, cause]
    styles = ["", "", "", style, "", style if wrong else "dim", ""]
    return [Text(" ".join(_clean(text).split()), style) for text, style in zip(texts, styles, strict=True)]


def _fitting(rows: Sequence[Sequence[Text]], columns: int) -> list[list[Text]]:
    """Rows without the columns that must go, so that causes have `ROOM`, or what the longest of them needs."""
    widths = dict(
        zip(HEADING, (max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)), strict=True)
    )
    widths["first cause"] = min(widths["first cause"], ROOM)
    for name in FIRST_TO_GO:
        if sum(widths.values()) + 2 * (len(widths) - 1) > columns:
            del widths[name]
    return [[cell for name, cell in zip(HEADING, row, strict=True) if name in widths] for row in rows]


def _aligned(rows: Sequence[Sequence[Text]]) -> list[Text]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        for cell, width in zip(row, widths, strict=True):
            cell.pad_right(width - cell.cell_len)
        row[-1].rstrip()
    return [Text("  ").join(row) for row in rows]


@click.group("runs", cls=WholeSentences, invoke_without_command=True)
@click.option("--name", metavar="LAB", help="List the runs of this lab only.", shell_complete=completion.lab_names)
@click.option(
    "-n",
    "number",
    metavar="N",
    type=click.IntRange(min=0),
    default=LISTED,
    show_default=True,
    help="Number of runs that are listed; 0 is all.",
)
@json_option
@html_option
@click.pass_context
def runs_group(context: click.Context, *, name: str | None, number: int, as_json: bool, page: Path | None) -> None:
    """List the runs, the newest first.

    By stage there is a bar for how many checks went wrong in it, each step twice as many, and a dot where it was not
    run. A narrow screen shows the causes instead.

    Where a command takes a RUN, as much of its name is enough as no other run begins with.
    """
    if context.invoked_subcommand is not None:
        return
    one_form(as_json=as_json, page=page)
    known = asked(lambda past: past.runs(name))[::-1]
    chosen = known[: number or None]
    doubts = warn(edited({run.name: run for run in chosen}))
    words = run_directory.words_of({run.name: run.finished for run in chosen})
    if as_json:
        directory = user_directories.runs_directory()
        runs, _ = archive.read_all(directory / run.name for run in chosen)
        click.echo(json.dumps([results_file.to_document(run) for run in runs], indent=2))
        return
    if page is not None:
        write_page(history_pages.of_runs(chosen, words, doubts=doubts), page)
        return
    rows = [[Text(word, "bold") for word in HEADING], *(_cells(run, words.get(run.name, "")) for run in chosen)]
    for line in _aligned(_fitting(rows, stdout.width)) if chosen else []:
        stdout.print(line, no_wrap=True, overflow="ellipsis")  # what the screen has room for; the report has all
    if len(known) > len(chosen):
        stderr.say(f"{len(known) - len(chosen)} earlier runs are not listed; -n 0 lists all")
    elif not known:
        stderr.say(f"there is no run{f' of lab {name}' if name else ''} yet")


@runs_group.command("prune")
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=1),
    default=KEPT,
    show_default=True,
    help="Number of the newest runs of each lab that stay.",
)
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=0),
    default=0,
    metavar="DAYS",
    help="Remove only runs that are older than so many days.",
)
@click.option("--name", metavar="LAB", help="Remove runs of this lab only.", shell_complete=completion.lab_names)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@json_option
def prune(*, keep: int, days: int, name: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove the directories of old runs, after asking.

    What stays: the newest runs of each lab, what goes on, what a readiness file rests on, and the verdict of every run.
    """
    removals = prune_runs.plan(archive.directories(name), keep, timedelta(days=days), datetime.now(UTC))
    total = sum(removal.mib for removal in removals)
    if not as_json:
        for removal in removals:
            stdout.say(f"{removal.directory.name}  {removal.mib} MiB")
    stderr.say(f"{len(removals)} runs, {total} MiB" if removals else "there is nothing to remove")
    if removals and not dry_run:
        _confirm(yes)
        prune_runs.remove(removals)
        stderr.say("the runs are removed")
    if as_json:
        click.echo(json.dumps(_told(removals, removed=not dry_run), indent=2))


def _confirm(yes: bool) -> None:
    """Ask the person; raises UsageProblem when there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageProblem("nothing is removed: there is nobody to ask", "--yes removes, --dry-run only tells")
    click.confirm("Remove them?", abort=True, err=True)


def _told(removals: Sequence[prune_runs.Removal], *, removed: bool) -> dict[str, Any]:
    runs = [{"run": removal.directory.name, "mib": removal.mib} for removal in removals]
    return {"removed": runs if removed else [], "would_remove": [] if removed else runs}
