"""Signals that end a module: an exception where it is, so that what it has under way is ended and cleaned up.

A module may share its process with others, so what handled the signals before does so again afterwards. Standard
library only.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal, as people call it, asked to end. No Exception, so that nothing on the way takes it for a failure."""


class _Held:
    """Whether a signal has to wait, and the words of the one that does."""

    depth = 0
    waiting = ""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Have a signal wait for the end of this, and raise Interrupted then.

    For the start of a process: one that began to run before anybody has its number could be ended by nobody.
    """
    _Held.depth += 1
    try:
        yield
    finally:
        _Held.depth -= 1
        if not _Held.depth and (words := _Held.waiting):
            _Held.waiting = ""
            raise Interrupted(words)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Have the first of the signals raise Interrupted; nothing that follows cuts the clean-up short."""

    def end(number: int, frame: FrameType | None) -> None:
        for other in ENDS:
            signal.signal(other, signal.SIG_IGN)
        signal.alarm(0)
        words = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if _Held.depth:
            _Held.waiting = words
            return
        raise Interrupted(words)

    before = {number: signal.signal(number, end) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
