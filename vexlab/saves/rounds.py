"""One round after the other: what came of it in a line, and a sign when the verdict is another one than before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0  # for the person's command
NO_VERDICT = "no verdict"
SHOWN = 3  # names of files in a line


@dataclass(frozen=True)
class Round:
    """What a round came to: a verdict, what it is of and why in words, and the page of the run, if there was one."""

    verdict: str
    words: str
    page: Path | None = None


def follow(
    saves: Iterable[Sequence[Path]], play: Callable[[Sequence[Path]], Round], tell: Callable[[Round, str], None],
    sign: Callable[[Round, Round], None],
) -> None:  # fmt: skip
    """Play a round each time that something was saved; ends with the saves. The first are those of before: none.

    `tell` is told of each, with what was saved; `sign` of one with another verdict, and of the one before it.
    """
    before: Round | None = None
    for saved in saves:
        now = play(saved)
        tell(now, named(saved))
        if before is not None and now.verdict != before.verdict:
            sign(now, before)
        before = now


def named(paths: Sequence[Path]) -> str:
    """The names of what was saved, for a line."""
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(path.name for path in paths[:SHOWN]) + more


def command(text: str, now: Round, before: Round) -> str:
    """Run a person's command, which finds the verdict in its environment; returns what went wrong with it."""
    known = {
        "VEXLAB_VERDICT": now.verdict, "VEXLAB_VERDICT_BEFORE": before.verdict, "VEXLAB_REASON": now.words,
        "VEXLAB_PAGE": str(now.page or ""),
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["sh", "-c", text], stdin=subprocess.DEVNULL, check=False, timeout=SECONDS, env=os.environ | known
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{text}: did not end within {SECONDS:.0f} s"
    return f"{text}: ended with {done.returncode}" if done.returncode else ""
