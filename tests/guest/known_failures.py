"""The checks that a target is known to fail: found by name, and expected to fail on the kernels that are named."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
BOUND = re.compile(r"\s*(<=|>=|==|<|>)\s*([\d.]+)\s*")


def applies(kernels: str, release: str) -> bool:
    """Whether a kernel, by its `uname -r`, is in a range such as `>=6.1,<6.13`; no range is every kernel.

    A bound is compared with as many numbers as it has: 6.12.48 is `<=6.12`, and not `>6.12`.
    """
    found = re.match(r"\d+(\.\d+)*", release)
    assert found, f"the kernel's release {release!r} does not begin with a number"
    numbers = [int(number) for number in found[0].split(".")]
    for bound in kernels.split(",") if kernels else []:
        match = BOUND.fullmatch(bound)
        assert match, f"{bound!r} is no bound of a range of kernels"
        limit = [int(number) for number in match[2].split(".")]
        if not COMPARE[match[1]](numbers[: len(limit)], limit):
            return False
    return True


def of_stage(known: Sequence[dict[str, Any]], stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a target's list that are about a stage, each with the name of its check in that stage."""
    for entry in known:
        where, _, name = entry["check"].partition("/")
        if where == stage:
            yield name, entry


def unknown(names: Collection[str], collected: Collection[str], stage: str) -> list[str]:
    """What to say about each name that no check of the stage has."""
    said = []
    for name in sorted(set(names) - set(collected)):
        near = difflib.get_close_matches(name, collected, n=1)
        meant = f"; did you mean {stage}/{near[0]}?" if near else ""
        said.append(f"{stage}/{name} is no check of stage {stage}{meant}")
    return said
