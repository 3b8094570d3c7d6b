"""Names of checks: as results have them, and what one means that a person gave.

The checks go by it, and so does what chooses some of them for a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

RENEWED = "it got a fresh filesystem: "
"""How the note of a check begins that got another filesystem than the one before it left; the reason follows."""


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


def levels(check: str) -> tuple[str, str, str]:
    """The names by which a check is left out: its own, that of its function, that of its module with a dot."""
    return check, check.partition("[")[0], f"{check.partition('.')[0]}."


def short_name(nodeid: str) -> str:
    """`mkfs/test_superblock.py::test_magic` becomes `superblock.magic`; parameters stay."""
    path, _, test = nodeid.partition("::")
    return f"{Path(path).stem.removeprefix('test_')}.{test.removeprefix('test_')}"
