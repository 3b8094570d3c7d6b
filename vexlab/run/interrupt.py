"""Ctrl-C, SIGTERM and a terminal that is closed: each ends a command in the same way, and only once.

The first raises KeyboardInterrupt, and what it is raised in cleans up. That takes seconds, and has its own deadlines. A
shell and the kernel both send SIGHUP when a terminal is closed, and people press Ctrl-C again: what comes after the
first must not cut the clean-up short, so it is ignored.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_terminals: list[int] = []  # of the standard streams, at the start
_deferred = 0  # how many are inside `deferred`
_asked = False  # whether one of the signals has come
_raised = False


def listen() -> None:
    """Have the signals interrupt this process; not one that it was started to ignore, as by nohup."""
    _terminals[:] = [number for number in range(3) if os.isatty(number)]
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    # At its very end Python forgets the handlers; then a signal would be the exit code.
    atexit.register(lambda: [signal.signal(number, signal.SIG_IGN) for number in SIGNALS])


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let nothing interrupt what is done meanwhile; what came is raised at its end."""
    global _deferred  # noqa: PLW0603  signals are the process's
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1
    _raise_once()


def _on_signal(*_: object) -> None:
    global _asked  # noqa: PLW0603  signals are the process's
    _asked = True
    _let_go_of_dead_terminals()
    _raise_once()


def _raise_once() -> None:
    global _raised  # noqa: PLW0603  signals are the process's
    if _asked and not _raised and not _deferred:
        _raised = True
        raise KeyboardInterrupt


def _let_go_of_dead_terminals() -> None:
    """A terminal that was closed takes no more words: each would be an error, in the middle of the clean-up."""
    for number in _terminals:
        if not os.isatty(number):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.close(nowhere)
