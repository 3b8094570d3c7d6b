"""A failure that travels: `vexlab bundle` makes an archive of it, `vexlab replay` repeats it somewhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from vexlab.bundle import archive_file, comparison, contents, source_copy
from vexlab.bundle.comparison import Comparison
from vexlab.bundle.manifest import Manifest, architecture
from vexlab.cli import completion, stages
from vexlab.cli.common import (
    chosen_run,
    json_option,
    plain,
    progress_option,
    stderr,
    verbose_option,
    warn_of_edits,
)
from vexlab.cli.options import last_of_lab_option
from vexlab.cli.order import only, outcome, take_order
from vexlab.config import settings, user_directories
from vexlab.config.settings import Options
from vexlab.errors import HostProblem, StageFailed, UsageProblem
from vexlab.report import screen
from vexlab.results import archive
from vexlab.results.model import Run
from vexlab.run import scratch

ENDING = ".tar.zst"


@click.command("bundle")
@click.argument("run", required=False, shell_complete=completion.run_names)
@last_of_lab_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The archive that is written; by default it is RUN.tar.zst in the current directory.",
)
@json_option
def bundle_command(*, run: str | None, name: str | None, output: Path | None, as_json: bool) -> None:
    """Make one archive of what failed in RUN, or in the last run.

    With it goes what repeats the failure: target, source, module, versions, seed, commands. No key, no path of your
    home and no environment goes with it. Its hash is printed: whoever replays it compares.
    """
    document = chosen_run(run, name)
    directory = archive.find(document.run)
    warn_of_edits(document)
    path = output or Path(f"{document.run}{ENDING}")
    with scratch.directory() as work:
        manifest, pieces = contents.collect(document, directory, work)
        digest = archive_file.write(path, manifest, pieces)
    for line in manifest.lacks:
        stderr.say(f"not in it: {line}", style="yellow")
    for line in manifest.replaced:
        stderr.say(f"directories of this machine were replaced in {line}")
    size = path.stat().st_size
    stderr.say(f"{path}: {manifest.failure.name} {manifest.failure.verdict}, {len(pieces)} files, {size >> 10} KiB")
    if as_json:
        click.echo(json.dumps({"bundle": str(path), "sha256": digest, "files": len(pieces), "lacks": manifest.lacks}))
    else:
        click.echo(f"{digest}  {path}")  # as sha256sum has it


@click.command("replay")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--name", metavar="LAB", help="Name of the lab that is made; by default it is one of this bundle alone.")
@click.option("--sha256", metavar="HASH", help="What the archive must have: it is refused otherwise.")
@click.option("--sh", is_flag=True, help="Print one shell script for a VM without vexlab, and run nothing.")
@click.option("--keep", is_flag=True, help="Leave the guest up afterwards.")
@json_option
@progress_option
@verbose_option
def replay_command(
    *, bundle: Path, name: str | None, sha256: str | None, sh: bool, keep: bool, as_json: bool, verbose: int
) -> None:  # fmt: skip
    """Run again what failed in BUNDLE, and compare what comes out.

    The exit code is 0 when it came out the same, and 1 when it did not.
    """
    digest = archive_file.sha256_of(bundle)
    if sha256 is not None and sha256.lower() != digest:
        raise UsageProblem(f"{bundle} has sha256 {digest}, and not the one that was given", archive_file.AGAIN)
    manifest = archive_file.read_manifest(bundle)
    if not sh and manifest.machine.architecture != architecture():
        what = f"{bundle} is of a machine with {manifest.machine.architecture}, and this one has {architecture()}"
        raise HostProblem(what, "replay it on such a machine; --sh prints a script for any VM of one")
    directory = _unpacked(bundle, digest, manifest)
    if sh:
        click.echo((directory / contents.SCRIPT).read_text(encoding="utf-8"), nl=False)
        return
    lab = settings.check_lab_name(name or f"replay-{digest[:12]}")
    stderr.say(f"{bundle}: sha256 {digest}")
    stderr.say(plain(f"{manifest.failure.name} of target {manifest.target} was {manifest.failure.verdict}"))
    for line in manifest.lacks:
        stderr.say(plain(f"not in it: {line}"), style="yellow")
    run = _run_again(lab, manifest, directory, keep=keep, verbose=verbose)
    there = contents.versions_in(directory)
    here = contents.package_versions(run.guest.image) if run.guest else {}
    _tell(comparison.compare(manifest, run, here, there), run, as_json=as_json)


def _unpacked(bundle: Path, digest: str, manifest: Manifest) -> Path:
    """Where the bundle is unpacked, from now on or already; raises UsageProblem when that was edited."""
    directory = user_directories.state_directory() / "bundles" / digest[:16]
    if not directory.exists():
        archive_file.unpack(bundle, manifest, directory)
    elif problem := archive_file.problem_of(manifest, directory):
        raise UsageProblem(f"{directory} is no longer what the bundle holds: {problem}", f"rm -r {directory}")
    return directory


def _run_again(lab: str, manifest: Manifest, directory: Path, *, keep: bool, verbose: int) -> Run:
    """Run the check that failed, or its stage, as `vexlab test` does; returns the run, whatever came of it."""
    source = directory / source_copy.TOP
    given = options_for(manifest, directory / contents.TARGET, source if source.is_dir() else None)
    order = take_order(lab, given, as_json=False, verbose=verbose, as_it_is=True)
    return outcome(order, lambda: stages.run_test(order, only(order, manifest.failure), keep=keep))


def options_for(manifest: Manifest, target: Path, source: Path | None) -> Options:
    """The options of `vexlab test` that a bundle asks for; raises UsageProblem for one that there is not."""
    known = {"variant", "kernel", "debug", "memory_mb", "cpus", "quick", "cycles", "seed"}
    if unknown := sorted(manifest.options.keys() - known):
        raise UsageProblem(f"the bundle gives an option that a replay doesn't take: {unknown[0]}", archive_file.AGAIN)
    given: dict[str, Any] = dict(manifest.options)
    return Options(target=str(target), source=str(source) if source else None, **given)


def _tell(found: Comparison, run: Run, *, as_json: bool) -> None:
    """Say what came out; raises StageFailed, which has the exit code, unless it is the same."""
    for line in found.differences:
        stderr.say(plain(line))
    if as_json:
        came = found.came.verdict if found.came else None
        document = {"same": found.same, "check": found.was.name, "was": found.was.verdict, "came": came, "run": run.run}
        click.echo(json.dumps(document | {"differences": found.differences}, indent=2))
    if not found.same:
        raise StageFailed(found.words, f"vexlab report {run.run}")
    screen.stderr.say(plain(found.words), style="bold")
