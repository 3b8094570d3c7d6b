"""Ctrl-C, SIGTERM and a terminal that is closed: each ends a command in the same way, and only once.

The first raises KeyboardInterrupt, and what it is raised in cleans up. For what says so (`told`) it is one event among
others instead. The clean-up takes seconds, and has its own deadlines. A shell and the kernel both send SIGHUP when a
terminal is closed, and people press Ctrl-C again: what comes after the first must not cut the clean-up short, so it is
ignored.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_terminals: list[int] = []  # of the standard streams, at the start
_told: Callable[[], None] | None = None  # what is called instead of raising
_came = False  # whether one of the signals has come


def listen() -> None:
    """Have the signals interrupt this process; not one that it was started to ignore, as by nohup."""
    _terminals[:] = [number for number in range(3) if os.isatty(number)]
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    # At its very end Python forgets the handlers; then a signal would be the exit code.
    atexit.register(lambda: [signal.signal(number, signal.SIG_IGN) for number in SIGNALS])


def asked() -> bool:
    """Whether a signal has asked this process to end."""
    return _came


@contextlib.contextmanager
def told(tell: Callable[[], None]) -> Iterator[None]:
    """Have `tell` called of each signal meanwhile, instead of raising; nothing is told if one had come before.

    It is called in the middle of whatever the main thread does then, so it may do no more than put something into a
    `queue.SimpleQueue`.
    """
    global _told  # noqa: PLW0603  signals are the process's
    before, _told = _told, _told if _came else tell
    try:
        yield
    finally:
        _told = before


@contextlib.contextmanager
def left_to_program() -> Iterator[None]:
    """Leave Ctrl-C to the program that has the terminal meanwhile."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # unlike SIG_IGN, this is not handed on to the program
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_signal(*_: object) -> None:
    global _came
    is_first, _came = not _came, True
    _let_go_of_dead_terminals()
    if _told is not None:
        _told()
    elif is_first:
        raise KeyboardInterrupt


def _let_go_of_dead_terminals() -> None:
    """A terminal that was closed takes no more words: each would be an error, in the middle of the clean-up."""
    for number in _terminals:
        if not os.isatty(number):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.close(nowhere)
