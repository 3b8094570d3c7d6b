"""The commands that look back: two runs compared, a check over all runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from vexlab.cli import completion
from vexlab.cli.common import html_option, json_option, name_unreadable, one_form, stderr, stdout, write_page
from vexlab.errors import VexlabError
from vexlab.gate import evidence
from vexlab.history import check_history, comparison, index, matrices, references
from vexlab.history.comparison import Comparison
from vexlab.history.matrices import MatrixComparison
from vexlab.history.past_runs import PastRun, PastRuns
from vexlab.report import check_history as histories
from vexlab.report import comparison as comparisons
from vexlab.report import history_pages, matrix_comparison, site
from vexlab.results import archive, results_file
from vexlab.run import run_directory

T = TypeVar("T")
LISTED = 20  # runs of one check that are listed when nothing else was asked for


def asked(question: Callable[[PastRuns], T]) -> T:
    """Answer a question about all runs; those that can't be read are named."""
    answer, unreadable = index.ask(
        lambda past: (question(past), past.unreadable()),
        notice=lambda count: stderr.say(f"reading {count} runs into the index, once"),
    )
    name_unreadable(unreadable)
    return answer


def edited(runs: Mapping[str, PastRun]) -> dict[str, str]:
    """The runs whose results were edited, each with what is wrong; where the chain is broken, that is said instead."""
    try:
        return evidence.edited({name: run.sha256 for name, run in runs.items()})
    except VexlabError as problem:
        stderr.say(f"nothing tells whether results were edited: {problem.message}", style="yellow")
        return {}


def warn(found: Mapping[str, str]) -> list[str]:
    """Tell the person of runs that are shown and are not as they ended; returns what was told, for a page."""
    told = [f"run {name} is not as it was when it ended: {why}" for name, why in found.items()]
    for line in told:
        stderr.say(line, style="yellow")
    return told


@click.command("compare")
@click.argument("old", metavar="[A]", required=False, shell_complete=completion.run_names)
@click.argument("new", metavar="[B]", required=False, shell_complete=completion.run_names)
@click.option(
    "--name", metavar="LAB", help="Look among the runs of this lab only.", shell_complete=completion.lab_names
)
@json_option
@html_option
@click.pass_context
def compare_command(
    context: click.Context, *, old: str | None, new: str | None, name: str | None, as_json: bool, page: Path | None
) -> None:
    """Tell what is new in run B against run A.

    Without A and B these are the last two runs of a lab that ended; without B, it is the last run. Each is the name of
    a run or how that begins, a kernel, or a branch or commit of the source that was tested: the newest run of it. Two
    names of matrices compare these, cell by cell; without B, it is the last matrix of the tier.

    Ends with 1 when a check fails that did not fail before and that neither a flaky past nor the list of known failures
    explains, with 2 when there is nothing to compare, and else with 0.
    """
    one_form(as_json=as_json, page=page)
    if old is not None and (pair := matrices.pair(old, new, matrices.ended())):
        context.exit(_compare_matrices(matrices.compare(*pair), as_json=as_json, page=page))
    for word in filter(None, (old, new)):
        _refuse_unreadable(word)

    def question(past: PastRuns) -> tuple[Comparison, dict[str, str]]:
        runs = past.runs()
        pair, changed = _pair(runs, old, new, name), edited({run.name: run for run in runs})
        return comparison.compare(*pair, past, leave_out=changed), changed

    found, changed = asked(question)
    doubts = warn({run: why for run, why in changed.items() if run in (found.old.run, found.new.run)})
    if as_json:
        click.echo(json.dumps(comparisons.document(found), indent=2))
    elif page is not None:
        write_page(history_pages.of_comparison(found, doubts=doubts), page)
    else:
        comparisons.show(found, stdout)
    context.exit(1 if found.new_failures else 0)


def _compare_matrices(found: MatrixComparison, *, as_json: bool, page: Path | None) -> int:
    """Show what is new in a matrix; returns the exit code."""
    if as_json:
        click.echo(json.dumps(matrix_comparison.document(found), indent=2))
    elif page is not None:
        write_page(matrix_comparison.page(found), page)
    else:
        matrix_comparison.show(found, stdout)
    return 1 if found.new_failures else 0


def _refuse_unreadable(word: str) -> None:
    """Raise what is wrong with a run that is named and can't be read."""
    if any(path.name == word for path in archive.directories()):
        results_file.read(archive.find(word) / archive.RESULTS)


def _pair(runs: list[PastRun], old: str | None, new: str | None, lab: str | None) -> tuple[PastRun, PastRun]:
    """The runs that are meant."""
    if old is None:
        return references.last_two(runs, lab)
    first = references.meant(old, runs, lab)
    return first, references.meant(new, runs, lab) if new is not None else references.last_beside(first, runs, lab)


@click.command("history")
@click.argument("checks", metavar="CHECK...", nargs=-1, required=True, shell_complete=completion.check_names)
@click.option("--name", metavar="LAB", help="Look at the runs of this lab only.", shell_complete=completion.lab_names)
@click.option(
    "-n", "number", type=click.IntRange(min=0), default=LISTED, show_default=True,
    help="Number of runs that are listed of one check; 0 is all.",
)  # fmt: skip
@json_option
@html_option
def history_command(
    *, checks: tuple[str, ...], name: str | None, number: int, as_json: bool, page: Path | None
) -> None:
    """Tell what CHECK came to in every run.

    CHECK is a name as with --check: STAGE/CHECK, with * for any text. One check has a line for each run, the newest
    first; several have a line each, with a sign for each of the last runs. `STAGE/stage itself` tells whether a
    stage came about.
    """
    one_form(as_json=as_json, page=page)

    def question(past: PastRuns) -> tuple[list[check_history.CheckHistory], dict[str, PastRun]]:
        runs = past.runs(name)
        return check_history.of_names(checks, runs, past), {run.name: run for run in runs}

    found, runs = asked(question)
    if not found:
        raise archive.no_run(name)
    warn(edited(runs))
    if as_json:
        click.echo(json.dumps(histories.document(found), indent=2))
    elif page is not None:
        write_page(history_pages.of_checks(found, runs), page)
    else:
        histories.show(found, runs, number, stdout)


def write_site(directory: Path) -> None:
    """Write the site of all runs, and say what came of it."""
    known = asked(lambda past: {run.name: run for run in past.runs()})
    doubts = edited(known)
    warn(doubts)
    words = run_directory.words_of({name: run.finished for name, run in known.items()})
    runs, written = site.write(directory.absolute(), doubts, words)
    stderr.say(f"{runs} runs, {written} of them new or changed")
    click.echo(directory / "index.html")
