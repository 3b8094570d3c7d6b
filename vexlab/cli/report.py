"""`vexlab report`: what came of a run, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import click

from vexlab.cli import completion
from vexlab.cli.common import chosen_run, html_option, json_option, write_page
from vexlab.cli.history import write_site
from vexlab.cli.options import last_of_lab_option
from vexlab.config import atomic_file
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import evidence, promotion
from vexlab.guest.lab import name_option
from vexlab.report import markdown
from vexlab.report import page as run_page
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
@html_option
@click.option("--open", "opens", is_flag=True, help="Write the run's own page anew, and open it in a browser.")
@click.option(
    "--site", metavar="DIR", type=click.Path(path_type=Path),
    help="Write a static site of all runs into this directory, or bring the one there up to date.",
)  # fmt: skip
@json_option
def report_command(
    *, run: str | None, name: str | None, kind: str, page: Path | None, opens: bool, site: Path | None, as_json: bool
) -> None:
    """Print the report of RUN, or of the last run.

    Each run that comes to its end leaves a page beside its evidence, report.html. --open writes it anew, with what the
    gate says now and whether the evidence is still as it was; --html writes such a page into another file, with links
    to the evidence where it is. Both have a page of a run that was cut off as well.

    `vexlab export` has the forms that other tools read.
    """
    forms = [as_json, kind != "markdown", page is not None, opens]
    if site is not None:
        if run or name or any(forms):
            raise UsageProblem(
                "--site writes pages of all runs, and goes with no other option", "leave out RUN and the rest"
            )
        write_site(site)
        return
    if page is not None or opens:
        if sum(forms) > 1:
            raise UsageProblem("--html, --open and --format exclude each other", "give one of --html, --open, --format")
        directory = archive.find_any(run) if run else archive.find(chosen_run(None, name).run)
        if page is not None:
            write_page(_page_of(directory, directory.as_uri()), page)
        else:
            _open_page(directory)
        return
    document = chosen_run(run, name)
    if kind == "json" or as_json:
        click.echo(markdown.render_json(document), nl=False)
    else:
        traces = logs.traces(archive.find(document.run))
        decision = promotion.about(document)
        click.echo(markdown.render_markdown(document, decision=decision, traces=traces), nl=False)


def _open_page(directory: Path) -> None:
    """Write the page of a run beside its evidence, print where it is, and open it."""
    path = directory / run_page.PAGE
    atomic_file.replace_file(path, _page_of(directory, "."))
    click.echo(path)
    if click.launch(str(path)) != 0:
        raise VexlabError("no browser could be opened", f"open {path} in one")


def _page_of(directory: Path, links: str) -> str:
    """The page of a run as it is now, whether it came to its end or not; `links` is where its evidence is from there.

    Raises VexlabError when it can't be told.
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
    around = run_page.Around(
        name_option(lab) if lab else "", promotion.about(run), timeline.read(directory), doubts,
        cut_off=not is_over and not goes_on, links=links,
    )  # fmt: skip
    return run_page.render(run, directory, around)
