"""Words for people that hold what a filesystem may hold; standard library only."""

from __future__ import annotations

import os


def printable(problem: object) -> str:
    r"""Return what a problem says, as text that is UTF-8 whatever names it quotes: other bytes become `\xNN`."""
    return os.fsencode(str(problem)).decode(errors="backslashreplace")
