"""What the name of a check means that a person gave. vexlab reads this as well, so it has the standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable


def meant(name: str, checks: Iterable[str]) -> list[str]:
    """The checks of a stage that a name means, in their order; a star stands for any text.

    `rename` is a whole module of checks, and `rename.tree_is_right` is that check with each of its parameters. A
    bracket is no wildcard, since it is in the names of checks: `rename.tree_is_right[directory]`.
    """
    pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
    return [
        check
        for check in checks
        if any(map(pattern.fullmatch, (check, check.partition("[")[0], check.partition(".")[0])))
    ]
