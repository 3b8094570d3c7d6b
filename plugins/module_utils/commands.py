"""Commands that a module runs: they end when it is ended, and what they say is in its words when they fail.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from .interruption import uninterrupted

SAID_BYTES = 64 << 10  # of each stream, from its end


class CommandError(Exception):
    """Why a command did not do what it was run for, as a sentence."""


@dataclass(frozen=True)
class Finished:
    """How a command ended; `code` is as a shell counts, 128 and the number of the signal that killed it."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """What it said of that."""
        return (self.stderr or self.stdout).strip() or "it printed nothing"


@contextlib.contextmanager
def running(argv: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a session of its own, as subprocess.Popen does; an exception ends it with all that it started.

    Of a signal, say, that comes while it is started, too. Raises OSError when it can't be started.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with uninterrupted():
            process = subprocess.Popen(argv, start_new_session=True, **how)
        yield process
    except BaseException:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended that very moment
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def run(argv: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command, with `env` beside the environment; raises CommandError when it can't be started.

    An exception meanwhile, of a signal say, ends it with all that it started. What it leaves in the background on its
    own is not waited for, so its output goes through files: a pipe would stay open.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        environment = os.environ | dict(env or {})
        try:
            with running(
                argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            ) as process:  # fmt: skip
                code = process.wait()
        except OSError as problem:
            where = problem.filename or argv[0]
            raise CommandError(f"`{' '.join(argv)}` can't be run: {where}: {problem.strerror}") from problem
        return Finished(code if code >= 0 else 128 - code, _end_of(stdout), _end_of(stderr))


def output(argv: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return what a command printed; raises CommandError with its own words when it fails."""
    done = run(argv, cwd=cwd, env=env)
    if done.code:
        raise CommandError(f"`{' '.join(argv)}` failed: {done.said}")
    return done.stdout


def _end_of(file: IO[bytes]) -> str:
    """The end of what is in a file, as text whatever bytes it has."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - SAID_BYTES))
    return file.read().decode(errors="backslashreplace")
