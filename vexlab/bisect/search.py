"""The search itself: `git bisect run`, which asks for the verdict on one commit after the other."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from vexlab.bisect import commits, step
from vexlab.bisect.commits import Commits
from vexlab.errors import VexlabError

_FOUND = re.compile(r"^# first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)
_POSSIBLE = re.compile(r"^# possible first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)


class Answer(IntEnum):
    """What is said of a commit, by the exit codes that `git bisect run` knows."""

    GOOD = 0
    BAD = 1
    SKIP = 125


@dataclass(frozen=True)
class Found:
    """The first bad commit; or, where too many were skipped, the commits that may be it, the newest first."""

    commits: tuple[str, ...]

    @property
    def is_certain(self) -> bool:
        """Whether it is one commit."""
        return len(self.commits) == 1


def first_bad(history: Commits, judge: Callable[[str], Answer]) -> Found:
    """Find the first bad commit of a history, whose ends are as they are said to be.

    `judge` is asked while the commit is checked out; whatever it raises ends the search.
    """
    history.check_out(history.bad)  # git starts from a commit
    history.git("bisect", "start", history.bad, history.good, *history.paths)
    if not (found := _concluded(history)).commits:
        _run(history, judge)
        found = _concluded(history)
    if not found.commits:
        raise VexlabError(f"git bisect came to no end: {history.git('bisect', 'log').strip()[-500:]}")
    return found


def _concluded(history: Commits) -> Found:
    """What git's log of the search says of its end; nothing while it goes on."""
    log = history.git("bisect", "log")
    return Found(tuple(_FOUND.findall(log)[-1:] or _POSSIBLE.findall(log)))


def _run(history: Commits, judge: Callable[[str], Answer]) -> None:
    """Have git search. It is in a session of its own: Ctrl-C is ours, and the end of our answers is its end."""
    words = ("bisect", "run", sys.executable, "-I", str(Path(step.__file__)))
    process = subprocess.Popen(
        commits.command(history.checkout, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, env=commits.environment(),
    )  # fmt: skip
    with process:
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            if line.rstrip("\n") == step.ASKS:
                answer = judge(history.git("rev-parse", "HEAD").strip())
                with contextlib.suppress(BrokenPipeError):  # git was ended, and its log tells of no end
                    os.write(process.stdin.fileno(), f"{int(answer)}\n".encode())
