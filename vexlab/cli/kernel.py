"""`vexlab kernel`: kernels that a guest can have, and their debug information."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import click
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_symbols, kernels, package_lists
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.package_lists import Package
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec
from rich.table import Table
from rich.text import Text

from vexlab.cli.common import existing, json_option, stderr, stdout
from vexlab.cli.first_screen import WholeSentences
from vexlab.cli.options import lab_option
from vexlab.config import installation, user_directories
from vexlab.errors import HostProblem, UsageProblem
from vexlab.guest.lab import Lab, name_option


@click.group("kernel", cls=WholeSentences)
def kernel_group() -> None:
    """Tell which kernels a guest can have, and fetch their symbols."""


@kernel_group.command("list")
@click.option("--refresh", is_flag=True, help="Fetch Debian's package lists anew.")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@json_option
def kernel_list(suites: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """List the kernels that Debian has, and those that are cached.

    Of each series the newest is told. Without a suite, it is those that --kernel looks for a release in. What is cached
    goes with `vexlab image prune`.
    """
    chosen = suites or tuple(installation.contract_defaults()["vexlab_kernel_suites"])
    offered = _offered(_lists(chosen, refresh=refresh))
    cached = kernels.cached(user_directories.cache_directory())
    if as_json:
        click.echo(json.dumps({"offered": offered, "cached": cached}, indent=2))
        return
    stdout.table(_table(offered, cached))


@kernel_group.command("symbols")
@lab_option
@click.argument("release", required=False)
@click.option("--yes", is_flag=True, help="Don't ask.")
def kernel_symbols_command(name: str, release: str | None, yes: bool) -> None:
    """Fetch a kernel's debug information, for vexlab debug --gdb.

    Without a release it is of the kernel that the guest of the lab has. It says what is fetched, and asks. What is kept
    is `vmlinux` alone.
    """
    release = release or _release_of(existing(name))
    suites = tuple(installation.contract_defaults()["vexlab_kernel_suites"])
    there = _store(suites)
    if (known := kernel_symbols.find(there.directory, release)) is not None:
        click.echo(known)
        return
    lists = _lists(suites, refresh=False)
    try:
        offer = kernel_symbols.offer(release, lists)
        what = f"{offer.package.name} of {offer.suite}, {offer.package.size >> 20} MiB"
        if not yes:
            click.confirm(f"{what} to fetch, and minutes to unpack. Fetch it?", abort=True, err=True)
        stderr.say(f"fetching {what}")
        click.echo(kernel_symbols.ensure(there, offer, release))
    except ImageError as problem:
        kind = UsageProblem if problem.of_request else HostProblem
        raise kind(problem.message, problem.hint) from None


def _release_of(lab: Lab) -> str:
    """The kernel of a lab's guest, by the image that the lab used last; raises UsageProblem before it has any."""
    manifest = user_directories.cache_directory() / lab.image() / "manifest.json"
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["kernel_release"])
    except (OSError, ValueError, KeyError):
        said = f"lab {lab.name} has had no guest yet, so its kernel isn't known"
        raise UsageProblem(said, f"name a release, or: vexlab up{name_option(lab.name)}") from None


def _store(suites: tuple[str, ...]) -> kernels.Store:
    cache = user_directories.cache_directory()
    return kernels.Store(cache, Spec("", (), (), 0), suites, cache)


def _lists(suites: tuple[str, ...], *, refresh: bool) -> Mapping[str, Mapping[str, Package]]:
    """The package lists of suites; raises a UsageProblem for one that isn't there, HostProblem when none can be had."""
    there = _store(suites)
    try:
        there.cache.mkdir(parents=True, exist_ok=True)
        if refresh or not there.knows(suites):
            stderr.say(f"fetching the package lists of {', '.join(suites)}")
        return there.lists(suites, refresh=refresh)
    except ImageError as problem:
        kind = UsageProblem if problem.of_request else HostProblem
        raise kind(problem.message, problem.hint) from None


def _offered(lists: Mapping[str, Mapping[str, Package]]) -> list[dict[str, Any]]:
    return [
        dataclasses.asdict(kernel)
        for suite, packages in lists.items()
        for kernel in package_lists.offered(suite, packages)
    ]


def _table(offered: list[dict[str, Any]], cached: list[dict[str, Any]]) -> Table:
    """What can be had, with what is cached of it beside; then what is cached and came from elsewhere."""
    table = Table(box=None, pad_edge=False)
    for heading in ("--kernel", "kernel", "from", "cached", ""):
        table.add_column(heading, no_wrap=True)
    left = {entry["key"]: entry for entry in cached}
    told: set[str] = set()  # series that an earlier suite gives
    for kernel in offered:
        of_it = [
            entry for entry in cached if (entry["release"], entry["origin"]) == (kernel["release"], kernel["suite"])
        ]
        size = f"{sum(left.pop(entry['key'])['mib'] for entry in of_it)} MiB" if of_it else ""
        word = _word(kernel, told)
        note = "" if kernel["has_headers"] else "no headers, so no module can be built for it"
        table.add_row(word, kernel["release"], kernel["suite"], size, note)
    for entry in left.values():
        table.add_row(
            "", Text(entry["release"]), Text(entry["origin"]), f"{entry['mib']} MiB", f"fetched {entry['created'][:10]}"
        )
    return table


def _word(kernel: Mapping[str, Any], told: set[str]) -> str:
    """What --kernel takes for it: the series, if no suite before it has that; empty for a kernel without headers."""
    series = package_lists.series(kernel["version"])
    if not kernel["has_headers"]:
        return ""
    word = kernel["release"] if series in told else series
    told.add(series)
    return str(word)
