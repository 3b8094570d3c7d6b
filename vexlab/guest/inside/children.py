"""What another process sees, or does meanwhile."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator

from vexlab.guest.inside.attempts import outcome

WAITS = "waits"  # the word for one that has told nothing yet
SECONDS = 120  # for work beside other work on a slow machine


class Child:
    """A process that does something and tells what came of it: `done`, the name of an errno, or what it asserts."""

    def __init__(self, number: int, answer: int) -> None:
        """Take its number, and the pipe on which it tells."""
        self.number, self._answer, self._told = number, answer, ""

    def told(self, seconds: float) -> str:
        """What came of it; `waits` when it has told nothing after so many seconds."""
        if not self._told and select.select([self._answer], [], [], seconds)[0]:
            self._told = os.read(self._answer, 4096).decode() or "ended without a word"
        return self._told or WAITS

    def end(self) -> None:
        """Kill it if it is there, and let go of it."""
        os.close(self._answer)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.number, signal.SIGKILL)
        os.waitpid(self.number, 0)


@contextlib.contextmanager
def child(function: Callable[[], object]) -> Iterator[Child]:
    """Do something in another process, which tells the text that it returns, `done`, its errno, or what it asserts."""
    answer, tell = os.pipe()
    number = os.fork()
    if number == 0:
        try:
            os.close(answer)
            words = list[str]()
            try:
                came = outcome(lambda: words.append(str(function())))
            except AssertionError as problem:
                came = str(problem)
            os.write(tell, (came if came != "done" or words[0] == "None" else words[0]).encode())
        finally:
            os._exit(0)
    os.close(tell)
    process = Child(number, answer)
    try:
        yield process
    finally:
        process.end()


def in_another(function: Callable[[], object], seconds: float = 20) -> str:
    """What came of something that another process did; `waits` when it didn't end in so many seconds."""
    with child(function) as process:
        return process.told(seconds)
