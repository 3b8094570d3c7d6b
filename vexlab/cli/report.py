"""`vexlab report`: what came of a run, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import click

from vexlab.cli import completion
from vexlab.cli.common import chosen_run, json_option
from vexlab.cli.history import write_site
from vexlab.cli.options import last_of_lab_option
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import evidence, promotion
from vexlab.guest.lab import name_option
from vexlab.report import markdown, page
from vexlab.results import archive, logs, salvage
from vexlab.run import run_directory, timeline


@click.command("report")
@click.argument("run", required=False, shell_complete=completion.run_names)
@last_of_lab_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="The form of the report.",
)
@click.option(
    "--html",
    "as_page",
    is_flag=True,
    help="Write report.html, a page for a browser, into the run's directory, and print its path.",
)
@click.option("--open", "opens", is_flag=True, help="Write report.html, and open it in a browser.")
@click.option(
    "--site", metavar="DIR", type=click.Path(path_type=Path),
    help="Write a static site of all runs into this directory, or bring the one there up to date.",
)  # fmt: skip
@json_option
def report_command(
    *, run: str | None, name: str | None, kind: str, as_page: bool, opens: bool, site: Path | None, as_json: bool
) -> None:
    """Print the report of RUN, or of the last run.

    Each run that comes to its end leaves a page beside its evidence, report.html. --html writes it anew, with what the
    gate says now and whether the evidence is still as it was. It has a page of a run that was cut off as well.

    `vexlab export` has the forms that other tools read.
    """
    if site is not None:
        if run or name or kind != "markdown" or as_json or as_page or opens:
            raise UsageProblem("a site is of all runs, and no other form of a report", "leave the rest out")
        write_site(site)
        return
    if as_page or opens:
        if as_json or kind != "markdown":
            raise UsageProblem(
                "a page is no other form of the report at once", "leave --html and --open out, or the rest"
            )
        _show_page(archive.find_any(run) if run else archive.find(chosen_run(None, name).run), opens=opens)
        return
    document = chosen_run(run, name)
    if kind == "json" or as_json:
        click.echo(markdown.render_json(document), nl=False)
    else:
        traces = logs.traces(archive.find(document.run))
        decision = promotion.about(document)
        click.echo(markdown.render_markdown(document, decision=decision, traces=traces), nl=False)


def _show_page(directory: Path, *, opens: bool) -> None:
    """Write the page of a run, print where it is, and open it if that was asked for."""
    path = write_page(directory)
    click.echo(path)
    if opens and click.launch(str(path)) != 0:
        raise VexlabError("no browser could be opened", f"open {path} in one")


def write_page(directory: Path) -> Path:
    """Write the page of a run as it is now, whether it came to its end or not; returns its path.

    Raises VexlabError when it can't be written.
    """
    run, doubts = salvage.read(directory)
    is_over, goes_on = run.finished is not None, run_directory.is_running(directory)
    if not is_over and not goes_on:
        run, unread = salvage.with_remains(run, directory)
        doubts += ["this run was cut off: whatever was going on then has no verdict", *unread]
    elif not is_over:
        doubts.append("this run goes on; the page is of now, and is not final")
    if is_over and (why := evidence.doubt(directory.name)):
        doubts.append(why)
    lab = archive.lab_of(directory)
    around = page.Around(
        name_option(lab) if lab else "", promotion.about(run), timeline.read(directory), doubts,
        cut_off=not is_over and not goes_on,
    )  # fmt: skip
    return page.write(run, directory, around)
