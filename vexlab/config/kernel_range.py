"""Ranges of kernels as a target file has them: bounds such as `>=6.1,<6.13`, which must all hold. No range is all.

The checks stand on this too, so it needs nothing but the standard library.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
BOUND = re.compile(r"\s*(<=|>=|==|<|>)\s*([\d.]+)\s*")


def applies(kernels: str, release: str) -> bool:
    """Whether a kernel, by its `uname -r`, is in a range.

    A bound is compared with as many numbers as it has: 6.12.48 is `<=6.12`, and not `>6.12`.
    """
    found = re.match(r"\d+(\.\d+)*", release)
    assert found, f"the kernel's release {release} does not begin with a number"
    numbers = [int(number) for number in found[0].split(".")]
    for bound in kernels.split(",") if kernels else []:
        match = BOUND.fullmatch(bound)
        assert match, f"{bound} is no bound of a range of kernels"
        limit = [int(number) for number in match[2].split(".")]
        if not COMPARE[match[1]](numbers[: len(limit)], limit):
            return False
    return True
