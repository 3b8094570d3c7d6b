"""Things that may fail: how they ended."""

from __future__ import annotations

import errno
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

NAMES = dict(errno.errorcode) | {errno.EOPNOTSUPP: "EOPNOTSUPP"}  # Python has the other name of that number


def ended(script: str, *words: str) -> list[Any]:
    """Run a script with `sh -eu`, $1… in it being the words: its exit code, as a shell tells it, its two streams."""
    done = subprocess.run(["sh", "-euc", script, "sh", *words], capture_output=True, text=True, check=False)
    return [done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr]


def shell(script: str, *words: str) -> str:
    """Run what needs a program, with `sh -eu`; returns stdout, raises with stderr when it fails."""
    code, stdout, stderr = ended(script, *words)
    if code:
        raise OSError(0, f"`{script}` failed with {code}: {stderr.strip() or stdout.strip()}")
    return str(stdout).strip()


def crash(code: int) -> str:
    """What an exit code, as a shell tells it, says of a command that did not decide to end; empty of one that did.

    Programs end with any code they like, 255 (-1 in C) the most. A shell has 126 and 127 for what it can't run, and
    128 and the number for what a signal ended; the real-time signals, 32 and more, are no crashes. 124 is the deadline.
    """
    known = {124: "it did not end in time", 126: "it can't be executed", 127: "it isn't there"}
    if 128 < code < 160:
        return f"a signal ended it ({signal.strsignal(code - 128) or code - 128})"
    return known.get(code, "")


def outcome(function: Callable[..., object], *arguments: Any) -> str:
    """Call it: `done`, or the name of the errno that it failed with."""
    try:
        function(*arguments)
    except OSError as problem:
        return NAMES.get(problem.errno or 0, str(problem))
    return "done"


def outcomes(attempts: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """Try one after the other: for each name `done`, or the name of the errno that it failed with."""
    return {name: outcome(attempt) for name, attempt in attempts.items()}
