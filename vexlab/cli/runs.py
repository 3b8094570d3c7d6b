"""The commands about runs that are kept: a list of them, and the removal of those that nobody misses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vexlab.cli import completion
from vexlab.cli.common import json_option, name_unreadable, stderr, stdout
from vexlab.cli.first_screen import WholeSentences
from vexlab.errors import UsageProblem
from vexlab.report.terminal import STYLES, age
from vexlab.results import archive, logs, results_file
from vexlab.results.model import Run
from vexlab.run import prune_runs, run_directory

LISTED = 20  # runs that are listed when nothing else was asked for
KEPT = 10  # of each lab, when nothing else was asked for


@dataclass(frozen=True)
class Listed:
    """A run as it is listed: `word` is its verdict, or `running`, or `killed` for one that never ended."""

    run: Run
    word: str

    @staticmethod
    def heading() -> list[Text]:
        """What stands above the cells."""
        return [Text(word, "bold") for word in ("run", "age", "target", "verdict", "first cause")]

    @property
    def cells(self) -> list[Text]:
        """Its name, age, target, verdict and the first cause."""
        sign, style = STYLES[self.run.verdict] if self.word == self.run.verdict else ("…", "cyan")
        wrong = logs.first_wrong(self.run)
        cause = f"{wrong.name}: {wrong.verdict}: {wrong.reason}" if wrong is not None else ""
        texts = [self.run.run, age(self.run.started), self.run.target, f"{sign} {self.word}", cause]
        return [Text(" ".join(text.split()), style if index == 3 else "") for index, text in enumerate(texts)]


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
@click.pass_context
def runs_group(context: click.Context, name: str | None, number: int, as_json: bool) -> None:
    """List the runs, the newest first.

    Where a command takes a RUN, as much of its name is enough as no other run begins with.
    """
    if context.invoked_subcommand is not None:
        return
    directories = archive.directories(name)[::-1]
    chosen = directories[: number or None]
    listed, unreadable = _read(chosen)
    name_unreadable(unreadable)
    if as_json:
        click.echo(json.dumps([results_file.to_document(one.run) for one in listed], indent=2))
        return
    for line in _aligned([Listed.heading(), *(one.cells for one in listed)] if listed else []):
        stdout.print(line, no_wrap=True, overflow="ellipsis")  # what the screen has room for; the report has all
    if len(directories) > len(chosen):
        stderr.say(f"{len(directories) - len(chosen)} earlier runs are not listed; -n 0 lists all")
    elif not directories:
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


def _read(directories: Sequence[Path]) -> tuple[list[Listed], list[archive.Unreadable]]:
    """Read the runs of these directories, in their order; of one that has not ended, whether it still goes on."""
    runs, unreadable = archive.read_all(directories)
    by_name = {path.name: path for path in directories}

    def word(run: Run) -> str:
        path = by_name.get(run.run)
        if run.finished is not None or path is None:
            return str(run.verdict)
        return "running" if run_directory.is_running(path) else "killed"

    return [Listed(run, word(run)) for run in runs], unreadable
