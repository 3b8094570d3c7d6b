"""`vexlab matrix`: targets, kernels and variants, each combination a cell that is built, loaded or tested."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from vexlab.cli import cell as in_guest
from vexlab.cli import hosted
from vexlab.cli.common import clean_option, progress_option, quiet_option, require_host, stderr
from vexlab.cli.options import GUEST, MULTIPLIED, PATIENCE, QUICK, Command, of_settings_file, typed, with_all
from vexlab.config import settings, user_directories
from vexlab.config.settings import Options
from vexlab.errors import GuestProblem, HostProblem, StageFailed, UsageProblem
from vexlab.guest import hypervisors, reaper
from vexlab.matrix import archive, cells, choice, conduct, spread
from vexlab.matrix.cells import Cell
from vexlab.matrix.conduct import How, Matrix
from vexlab.matrix.worker import Task
from vexlab.report import matrix as report
from vexlab.report.matrix_screen import MatrixScreen
from vexlab.results.matrix import MatrixRecord, Tier, encode
from vexlab.run import forks

TIERS = {
    Tier.BUILD: "Build each cell's module here, which takes no guest and no root.",
    Tier.LOAD: "Build, and load and unload what was built in a guest.",
    Tier.TEST: "Build, and run all of vexlab test on what was built.",
}
FORMATS = ("table", "json", "markdown", "github")
_KINDS = {2: UsageProblem, 4: GuestProblem}


def _tier_options(command: Command) -> Command:
    """`--build`, `--load`, `--test`."""
    options = [click.option(f"--{tier}", "tier", flag_value=tier.value, help=words) for tier, words in TIERS.items()]
    return with_all(options, command)


@click.command("matrix")
@_tier_options
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True,
    help="What is printed on stdout in the end: nothing, or the results. With github nothing is run, and it is the "
    "matrix of a workflow, with a command for each cell.",
)  # fmt: skip
@click.option(
    "--jobs", "at_once", type=click.IntRange(min=1), metavar="N",
    help="Number of cells that are built at once; without it, one for each CPU.",
)  # fmt: skip
@click.option(
    "--hypervisors", "inventory", metavar="INVENTORY", type=click.Path(path_type=Path),
    help="Have the hosts of group hypervisors of an inventory do the cells, over ssh, instead of this machine.",
)  # fmt: skip
@click.option(
    "--patience", type=click.IntRange(min=10), metavar="SECONDS", default=PATIENCE, show_default=True,
    help="Seconds without a sign of life after which a hypervisor is lost, and its cells go to others.",
)  # fmt: skip
@clean_option
@QUICK
@progress_option
@quiet_option
@functools.partial(with_all, MULTIPLIED)
@functools.partial(with_all, GUEST)
def matrix_command(
    *, tier: str | None, form: str, at_once: int | None, inventory: Path | None, patience: int, clean: bool,
    source: str | None, targets: tuple[str, ...], kernels: tuple[str, ...], variants: tuple[str, ...], **of_guest: Any,
) -> None:  # fmt: skip
    """Build, load or test modules on many kernels.

    A cell is a target, a kernel and a variant. Cells are built side by side, each with its kernel's headers and the
    compiler that these want; no image is built for that and no guest started. What didn't change since the last time
    is not done again.

    Ends with 0 when every cell is as expected: what fails, and why, is in vexlab_expected of the target file.
    """
    wanted = _tier(tier, form)
    hosts = hypervisors.find(inventory) if inventory else []
    base = of_settings_file().options
    options = Options(**of_guest, source=source or base.source, target=base.target)
    if targets and source and len(targets) > 1:
        raise UsageProblem("--source is of one target, and several are given", "give one --target, or no --source")
    if targets:
        options = dataclasses.replace(options, source=source)
    contract = settings.of_target(targets[0] if targets else options.target) | {
        "vexlab_cache_directory": str(user_directories.cache_directory())
    }
    wanted_kernels = list(dict.fromkeys(kernels)) or choice.all_series(contract, stderr.say)
    chosen = cells.plan(list(dict.fromkeys(targets)), wanted_kernels, variants, options, typed(of_guest))
    if form == "github":
        click.echo(json.dumps(cells.include(chosen, wanted)))
        return
    require_host(builds_only=bool(hosts) or wanted is Tier.BUILD)
    if hosts:
        hosted.refuse_paths(wanted_kernels)
    refused = choice.refused(wanted_kernels, contract, stderr.say)
    how = How(
        wanted, at_once or os.cpu_count() or 1, clean,
        {cell.name: refused[word] for cell in chosen if (word := cell.given_kernel) in refused},
        functools.partial(_in_guest, wanted, clean=clean),
        forks.most(chosen[0].contract) if wanted is Tier.LOAD else 1,  # a test has several guests by itself
        spread.How(hosts, patience, typed(of_guest | {"clean": clean or None}), wanted, at_once) if hosts else None,
    )  # fmt: skip
    _show(_run(chosen, how), form)


def _tier(tier: str | None, form: str) -> Tier:
    if tier is None and form != "github":
        raise UsageProblem("nothing says how far each cell is taken", "give one of --build, --load and --test")
    return Tier(tier or Tier.BUILD)


def _in_guest(tier: Tier, cell: Cell, built: str, *, clean: bool) -> Task:
    directory = str(conduct.directory_of(cell.name))
    order = in_guest.Order(cell.name, dataclasses.asdict(cell.options), tier, built, directory, clean)
    return Task(cell.name, in_guest.__name__, msgspec.json.encode(order))


def _run(chosen: Sequence[Cell], how: How) -> MatrixRecord:
    directory = archive.new_directory(how.tier)
    where = f"on {len(how.on_hosts.hosts)} hypervisors" if how.on_hosts else f"{how.jobs} at once"
    stderr.say(f"{len(chosen)} cells, {where}" if len(chosen) > 1 else "1 cell")
    with reaper.guarded(), MatrixScreen(stderr) as screen:
        matrix = Matrix(chosen, how, directory, screen)
        screen.records = lambda: matrix.records
        try:
            record = matrix.run()
        finally:
            archive.prune()
    return record


def _show(record: MatrixRecord, form: str) -> None:
    """Print what came of it; raises what has the exit code, unless every cell is as expected."""
    stderr.table(report.table(record.cells, {}))
    wrong, untried = report.not_as_expected(record), report.not_tried(record)
    for cell in wrong:
        stderr.say(f"{report.name(cell)}: {cell.command}", style="bold")
        stderr.verbatim(cell.found.details or report.why(cell))
    for host in [host for host in record.hosts if host.lost]:
        stderr.say(f"{host.name} was lost: {host.lost}")
    stderr.say(report.summary(record))
    stderr.say(f"results: {archive.directory_of(record.name)}")
    if form == "json":
        click.echo(encode(record), nl=False)
    elif form == "markdown":
        click.echo(report.markdown(record), nl=False)
    click.echo(report.tell_github(record, os.environ), err=True, nl=False)
    if wrong and not (untried and record.hosts):
        told = f"{len(wrong)} of {len(record.cells)} cells not as expected: {', '.join(map(report.name, wrong))}"
        raise StageFailed(told, wrong[0].command)
    if untried:
        found = untried[0].found
        told = f"{len(untried)} of {len(record.cells)} cells could not be tried: {', '.join(map(report.name, untried))}"
        raise _KINDS.get(found.exit_code, HostProblem)(f"{told}\n{found.problem}".strip(), found.hint)
