"""Run a command and tell how long it took; run contestants in turns."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SECONDS_TO_END = 90.0  # what vexlab gets after Ctrl-C to end what it started
WORDS_QUOTED = 2000
Command = Sequence[str | Path]


class BenchmarkError(Exception):
    """Why there are no figures; a time of a command that failed is no time."""


@dataclass(frozen=True)
class Finished:
    """A command that succeeded: how long it took, and what it printed."""

    seconds: float
    stdout: str


@dataclass(frozen=True)
class Contestant:
    """Something to be measured. `run` prepares, measures, clears away, and returns the seconds of what it measured."""

    name: str
    run: Callable[[], float]


class Running:
    """A command that was started. It has a session of its own: Ctrl-C reaches us alone, and we end the command."""

    def __init__(self, command: Command, env: Mapping[str, str], cwd: Path | None, stdin: Path | None) -> None:
        """Start it."""
        self.arguments = [str(word) for word in command]
        # Files instead of pipes, since a guest or an ssh that stays in the background would hold a pipe open.
        self.stdout, self.stderr = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115  finish() closes them
        self.asked = False
        self.began = time.monotonic()
        with Path(stdin or os.devnull).open("rb") as given:
            self.process = subprocess.Popen(
                self.arguments, env=env, cwd=cwd, stdin=given, stdout=self.stdout, stderr=self.stderr,
                start_new_session=True,
            )  # fmt: skip

    def finish(self) -> Finished:
        """Wait for its end; raises BenchmarkError with its last words when it failed."""
        code = self.process.wait()
        seconds = time.monotonic() - self.began
        printed, words = (_text(stream) for stream in (self.stdout, self.stderr))
        if code:
            quoted = f"{words.strip()}\n{printed.strip()}".strip()[-WORDS_QUOTED:]
            raise BenchmarkError(f"{' '.join(self.arguments)[:400]}\nended with status {code}:\n{quoted}")
        return Finished(seconds, printed)

    def ask_to_end(self) -> None:
        """Send what Ctrl-C sends, so that it can clear away; once, since a second time might cut that short."""
        if self.process.poll() is None and not self.asked:
            self.asked = True
            self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End it and its session: asked first, and then made to. No harm after its end."""
        if self.process.poll() is not None:
            return
        self.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _text(stream: IO[str]) -> str:
    with stream:
        stream.seek(0)
        return stream.read()


def run(command: Command, *, env: Mapping[str, str], cwd: Path | None = None, stdin: Path | None = None) -> Finished:
    """Run a command to its end; raises BenchmarkError with its last words when it fails."""
    running = Running(command, env, cwd, stdin)
    try:
        return running.finish()
    finally:
        running.end()


def run_together(commands: Sequence[Command], *, env: Mapping[str, str], cwd: Path) -> float:
    """Start commands at once; seconds until the last has ended. Raises BenchmarkError when one of them fails."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        started = []
        for command in commands:
            running = Running(command, env, cwd, None)
            stack.callback(running.end)
            started.append(running)
        try:
            for running in started:
                running.finish()
        except BaseException:
            for running in started:  # all at once, and then one is waited for after the other
                running.ask_to_end()
            raise
    return time.monotonic() - began


def say(text: str) -> None:
    """Tell the person at the terminal how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def interleave(contestants: Sequence[Contestant], runs: int) -> dict[str, list[float]]:
    """Seconds of each contestant, measured in turns: what slows the machine for a while slows all of them."""
    samples: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(1, runs + 1):
        for contestant in contestants:
            seconds = contestant.run()
            samples[contestant.name].append(seconds)
            say(f"{number}/{runs} {contestant.name}: {seconds:.1f} s")
    return samples
