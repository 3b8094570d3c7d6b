"""`vexlab export`: a run as what people look at elsewhere reads it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from vexlab.cli import completion
from vexlab.cli.common import chosen_run, stderr, warn_of_edits
from vexlab.cli.options import last_of_lab_option
from vexlab.config import atomic_file
from vexlab.errors import HostProblem, UsageProblem, write_problem
from vexlab.report import cases, ctrf, github, junit_file
from vexlab.results import archive
from vexlab.results.model import Run
from vexlab.run import run_facts

FORMATS = ("allure", "ctrf", "kcidb", "junit", "github")


@click.command("export")
@click.argument("kind", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("run", required=False, shell_complete=completion.run_names)
@last_of_lab_option
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Where it is written, instead of stdout. Of allure it is a directory, and has to be given; of github, the "
    "file that the summary is added to.",
)
@click.option(
    "--base-url",
    metavar="URL",
    default="",
    help="Where the run's directory is published: ctrf and kcidb then link to the logs there.",
)
@click.option(
    "--origin", metavar="NAME", default="vexlab", show_default=True, help="Who sends it, as KernelCI knows them; kcidb."
)
def export_command(
    *, kind: str, run: str | None, name: str | None, output: Path | None, base_url: str, origin: str
) -> None:  # fmt: skip
    """Print RUN, or the last run, in the FORMAT of another tool.

    allure, ctrf (pull request bots), kcidb (KernelCI), junit, github (annotations, and a summary). allure and kcidb
    need what `pip install 'vexlab[export]'` installs.
    """
    document = chosen_run(run, name)
    directory = archive.find(document.run)
    warn_of_edits(document)
    if kind == "allure":
        _allure(document, directory, output)
    elif kind == "github":
        summary = {"GITHUB_STEP_SUMMARY": str(output)} if output else {}
        environment = {**os.environ, "GITHUB_ACTIONS": "true", **summary}
        click.echo(github.tell(document, environment, run_facts.source_directory(directory)), nl=False)
    elif kind == "kcidb":
        with _needs("kcidb-io"):
            from vexlab.report import kcidb  # noqa: PLC0415  its library comes with an extra
        _put(output, kcidb.render(document, directory, origin, base_url))
    elif kind == "ctrf":
        _put(output, ctrf.render(document, _attachments(document, directory, output, base_url), directory))
    else:
        _put(output, junit_file.render(document, directory))


def _allure(run: Run, directory: Path, output: Path | None) -> None:
    if output is None:
        raise UsageProblem("results for Allure are written to a directory", "name one: --output allure-results")
    if output.exists() and not output.is_dir():
        raise UsageProblem(
            f"{output} is no directory", "results for Allure are written to a directory: name another one"
        )
    with _needs("allure-python-commons"):
        from vexlab.report import allure  # noqa: PLC0415  its library comes with an extra
    try:
        count = allure.Writer(run, directory, output).write()
    except OSError as problem:
        raise write_problem(output, problem) from problem
    stderr.say(f"{count} results are in {output}; npx allure generate {output} makes pages of them")


def _attachments(run: Run, directory: Path, output: Path | None, base_url: str) -> dict[Path, str]:
    """The logs that a reader of a CTRF document can get at: where they are published, or copied beside the document."""
    logs = {path for _, found in cases.of_run(run) for case in found for path in case.evidence(directory).values()}
    names = {path: str(path.relative_to(directory)) for path in sorted(logs)}
    if base_url:
        return {path: f"{base_url.rstrip('/')}/{name}" for path, name in names.items()}
    if output is None:
        return {}
    beside = output.with_name(f"{output.stem}-attachments")
    try:
        for path, name in names.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, beside / name)
    except OSError as problem:
        raise write_problem(beside, problem) from problem
    return {path: f"{beside.name}/{name}" for path, name in names.items()}


def _put(output: Path | None, text: str) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        atomic_file.replace_file(output, text)


@contextlib.contextmanager
def _needs(package: str) -> Iterator[None]:
    """Tell how to install a package that isn't there; raises HostProblem."""
    try:
        yield
    except ModuleNotFoundError as missing:
        raise HostProblem(
            f"the Python package {package} is not installed", "pip install 'vexlab[export]' brings it"
        ) from missing
