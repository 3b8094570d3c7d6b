"""What a target says of its filesystem's limits, beside what the schema can say of each: none contradicts a claim."""

from __future__ import annotations

import time
from collections.abc import Iterator

# The capability that a limit is about; a target that doesn't claim it has no use for the limit.
OF = {
    "symbolic_link_bytes": "symbolic-links",
    "hard_links": "hard-links",
    "owner_bits": "permissions",
    "time_earliest": "timestamps",
    "time_latest": "timestamps",
    "time_granularity_ns": "timestamps",
}


def problems(target: dict[str, object]) -> Iterator[str]:
    """Yield what contradicts itself, or a capability that the target claims or doesn't, as `<field>: <what>`."""
    limits, claimed = target.get("vexlab_limits"), target.get("vexlab_capabilities")
    if not isinstance(limits, dict) or not isinstance(claimed, list):
        return
    for name, capability in OF.items():
        if name in limits and capability not in claimed:
            yield f"vexlab_limits.{name}: is about {capability}, which isn't claimed; claim it, or leave the limit out"
    numbers = {name: value for name, value in limits.items() if type(value) is int}
    yield from _of_each_other(numbers, has_directories="directories" in claimed)
    if "timestamps" in claimed:
        yield from _of_the_clock(numbers)


def _of_each_other(limits: dict[str, int], *, has_directories: bool) -> Iterator[str]:
    """Yield where one limit can't be reached because of another."""
    for less, more, why in (
        ("name_characters", "name_bytes", "a character has a byte at least"),
        ("time_earliest", "time_latest", "nothing is between them"),
        *([] if has_directories else [("files", "directory_entries", "without directories all are in one")]),
    ):
        if less in limits and more in limits and limits[less] > limits[more]:
            yield f"vexlab_limits.{less}: {limits[less]} is more than {more}, which is {limits[more]}; {why}"


def _of_the_clock(limits: dict[str, int]) -> Iterator[str]:
    """Yield limits that what is written today is outside of, though its time is to be kept."""
    now = int(time.time())
    latest, earliest = limits.get("time_latest", now), limits.get("time_earliest", now)
    for name, limit, is_outside in (("time_latest", latest, latest < now), ("time_earliest", earliest, earliest > now)):
        if is_outside:
            yield f"vexlab_limits.{name}: {limit} leaves out today ({now}), and timestamps is claimed: a write needs it"
