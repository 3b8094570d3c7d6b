"""Words for people that hold what a filesystem may hold; standard library only."""

from __future__ import annotations

import os


def printable(problem: object) -> str:
    r"""Return what a problem says, as text that is UTF-8 whatever names it quotes: other bytes become `\xNN`."""
    return os.fsencode(str(problem)).decode(errors="backslashreplace")


def of_system(problem: OSError) -> str:
    """Return what the system says of a file that can't be used: which one, and why."""
    return printable(f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror or problem)
