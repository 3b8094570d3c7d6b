"""`vexlab image build|list|prune`: disk images of guests."""

from __future__ import annotations

import json
from typing import Any

import click
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import store
from rich.table import Table

from vexlab.cli.common import WHILE_IT_RUNS, json_option, show_log, stderr, stdout, verbose_option
from vexlab.cli.first_screen import WholeSentences
from vexlab.cli.options import lab_option, with_options
from vexlab.cli.order import take_order
from vexlab.config import installation, user_directories
from vexlab.config.settings import Options, Settings
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab
from vexlab.matrix import archive
from vexlab.report.terminal import Progress
from vexlab.run import plain_playbooks, scratch


@click.group("image", cls=WholeSentences)
def image_group() -> None:
    """Build, list and remove disk images of guests."""


@image_group.command("build")
@verbose_option
@with_options
@lab_option
def image_build(name: str, verbose: int, options: Options) -> None:
    """Build the image that a lab would use, unless it is there."""
    order = take_order(name, options, as_json=False, verbose=verbose)
    lab = order.lab
    with lab.held():
        plain_playbooks.prepare(lab, order.settings)
        log = lab.directory / "image.log"
        log.unlink(missing_ok=True)
        try:
            with Progress(stderr, follows=verbose >= WHILE_IT_RUNS) as progress:
                progress.follow(log)
                plain_playbooks.build_image(lab, progress, log)
        finally:
            show_log(log, verbose)


@image_group.command("list")
@json_option
def image_list(as_json: bool) -> None:
    """List the images and the saved guests beside them, with their sizes."""
    entries: list[dict[str, Any]] = []
    for manifest in sorted(user_directories.cache_directory().glob("*/manifest.json")):
        try:
            known = json.loads(manifest.read_text())
        except ValueError:
            known = {}
        manifests = [manifest.parent.glob(f"{kind}/*/manifest.json") for kind in ("warm", "checkpoints")]
        states = [path.parent for found in manifests for path in found]
        entries.append(
            {
                "key": manifest.parent.name, "kernel": known.get("kernel_release", "(damaged)"),
                "packages": known.get("packages", []), "mib": store.size_mib(manifest.parent),
                "states": len(states), "states_mib": sum(store.size_mib(state) for state in states),
                "labs": [lab.name for lab in labs.all_labs() if lab.image() == manifest.parent.name],
            }
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "kernel", "MiB", "of it saved guests", "labs"):
        table.add_column(heading, no_wrap=True)
    for entry in entries:
        saved = f"{entry['states']}, {entry['states_mib']} MiB" if entry["states"] else "none"
        table.add_row(entry["key"], entry["kernel"], str(entry["mib"]), saved, " ".join(entry["labs"]))
    stdout.table(table)


@image_group.command("prune")
@click.option(
    "--all", "everything", is_flag=True, help="Remove images that a lab used last as well, if no guest is up on them."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed, and remove nothing.")
@json_option
def image_prune(everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the images that no lab used last.

    The same goes for what no cell of a matrix was built in last. What a guest runs on, or somebody builds, stays.
    """
    used = {lab.image() for lab in labs.all_labs()} | archive.sandboxes_in_use()
    keep = [] if everything else sorted(used - {""})
    with scratch.directory() as directory:
        stand_in = Lab("prune", directory)
        contract = installation.contract_defaults() | {
            "vexlab_cache_directory": str(user_directories.cache_directory())
        }
        plain_playbooks.prepare(stand_in, Settings("prune", directory, contract))
        answer = plain_playbooks.prune_images(stand_in, keep, directory / "ansible.log", check=dry_run)
    if as_json:
        done, would = ({}, answer["removed"]) if dry_run else (answer["removed"], {})
        click.echo(json.dumps({"removed": done, "would_remove": would, "kept": answer["kept"]}, indent=2))
        return
    for key, mib in answer["removed"].items():
        stdout.say(f"{'would remove' if dry_run else 'removed'} {key}, {mib} MiB")
    for key, reason in answer["kept"].items():
        stdout.say(f"kept {key}: {reason}")
    if not answer["removed"]:
        stdout.say("there is nothing to remove")
