"""`vexlab kernel list`: kernels that a guest can have."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import click
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernels, package_lists
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.package_lists import Package
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec
from rich.table import Table

from vexlab.cli.common import json_option, stderr, stdout
from vexlab.cli.first_screen import WholeSentences
from vexlab.config import installation, user_directories
from vexlab.errors import HostProblem, UsageProblem


@click.group("kernel", cls=WholeSentences)
def kernel_group() -> None:
    """Tell which kernels a guest can have."""


@kernel_group.command("list")
@click.option("--refresh", is_flag=True, help="Fetch Debian's package lists anew.")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@json_option
def kernel_list(suites: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """List the kernels that Debian's suites have, and those that are cached.

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


def _lists(suites: tuple[str, ...], *, refresh: bool) -> Mapping[str, Mapping[str, Package]]:
    """The package lists of suites; raises a UsageProblem for one that isn't there, HostProblem when none can be had."""
    cache = user_directories.cache_directory()
    there = kernels.Store(cache, Spec("", (), (), 0), suites, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
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
        table.add_row("", entry["release"], entry["origin"], f"{entry['mib']} MiB", f"fetched {entry['created'][:10]}")
    return table


def _word(kernel: Mapping[str, Any], told: set[str]) -> str:
    """What --kernel takes for it: the series, if no suite before it has that; empty for a kernel without headers."""
    series = package_lists.series(kernel["version"])
    if not kernel["has_headers"]:
        return ""
    word = kernel["release"] if series in told else series
    told.add(series)
    return str(word)
