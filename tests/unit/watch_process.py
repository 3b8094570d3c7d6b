"""`vexlab watch` on the tree that is named, with rounds that are made up: each reads its verdict from a file there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vexlab.cli import watch
from vexlab.cli.common import stderr
from vexlab.errors import VexlabError
from vexlab.run import interrupt
from vexlab.saves.changes import Saves
from vexlab.saves.rounds import Round


def main() -> None:
    """End as vexlab does."""
    tree = Path(sys.argv[1])

    def play(_: Sequence[Path]) -> Round:
        return Round((tree / "verdict").read_text().strip(), "as it is written")

    interrupt.listen()
    try:
        watch.until_interrupted(Saves(tree), play, sys.argv[2], lambda: "vexlab down takes it down")
    except VexlabError as problem:
        stderr.problem(problem.message, problem.hint, problem.exit_code)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
