"""Processes that each do the work of a cell, as many at once as may be: started, listened to, and ended.

Each is given an order on standard input, and tells in lines of JSON what it does ({"doing": …}) and at the end what it
found ({"answer": …}). A signal interrupts it; what is left of it when vexlab was killed is ended by the reaper.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vexlab.run import children

TICK = 0.25  # seconds between two looks at who has ended


@dataclass(frozen=True)
class Task:
    """The work of a cell: its name, the module that does it, and the order that this is given."""

    name: str
    module: str
    order: bytes


@dataclass(frozen=True)
class Event:
    """Something about a task: what it is doing by its own words, or its answer, or why it ended without one."""

    name: str
    doing: str = ""
    answer: dict[str, Any] | None = None
    failure: str = ""


@dataclass
class _Worker:
    task: Task
    process: subprocess.Popen[bytes]
    said: bytes = b""
    complained: bytes = b""
    open: int = 2  # streams of it that are not at their end
    answer: dict[str, Any] | None = field(default=None)


def tell(doing: str) -> None:
    """Tell the matrix what this process does; called in one that was started as a task."""
    _write({"doing": doing})


def answer(document: dict[str, Any]) -> None:
    """Answer the matrix, in a process that was started as a task."""
    _write({"answer": document})


def _write(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def run(tasks: Sequence[Task], at_once: int, grace: float) -> Generator[Event | None]:
    """Do the tasks in their order, so many at once; yields what happens, as `follow` does."""
    waiting = deque(tasks)
    return follow(lambda at_work: waiting.popleft() if waiting and at_work < at_once else None, grace)


def follow(following: Callable[[int], Task | None], grace: float) -> Generator[Event | None]:
    """Do the tasks that are given, until none is given and none is at work: `following` gets how many are.

    Yields what happens, and None when nothing has for a moment. However this is left, no task goes on: they are
    interrupted, and killed when they take longer than `grace` seconds.
    """
    workers = dict[str, _Worker]()
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while (task := following(len(workers))) is not None:
                    workers[task.name] = _start(task, selector)
                if not workers:
                    return
                events = [event for key, _ in selector.select(TICK) for event in _read(key.data, selector)]
                yield from events
                for name in [name for name, worker in workers.items() if not worker.open]:
                    yield _ended(workers.pop(name))
                if not events:
                    yield None
        finally:
            _end([worker.process for worker in workers.values()], grace)


def _start(task: Task, selector: selectors.BaseSelector) -> _Worker:
    process = subprocess.Popen(
        [sys.executable, "-m", task.module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    worker = _Worker(task, process)
    assert process.stdin and process.stdout and process.stderr
    with contextlib.suppress(BrokenPipeError):  # it died; its end tells why
        process.stdin.write(task.order)
        process.stdin.close()
    for stream in (process.stdout, process.stderr):
        selector.register(stream, selectors.EVENT_READ, (worker, stream))
    return worker


def _read(data: tuple[_Worker, Any], selector: selectors.BaseSelector) -> Iterator[Event]:
    """Take what a stream of a worker has; yields what it tells of itself."""
    worker, stream = data
    if not (block := os.read(stream.fileno(), 1 << 16)):
        selector.unregister(stream)
        stream.close()
        worker.open -= 1
        return
    if stream is worker.process.stderr:
        worker.complained = (worker.complained + block)[-2000:]
        return
    *lines, worker.said = (worker.said + block).split(b"\n")
    for line in lines:
        match _document(line):
            case {"doing": str(doing)}:
                yield Event(worker.task.name, doing)
            case {"answer": dict(found)}:
                worker.answer = found
            case _:  # a library's, that takes our stream for a person's
                worker.complained = (worker.complained + line + b"\n")[-2000:]


def _document(line: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(line)
    return None


def _ended(worker: _Worker) -> Event:
    code = worker.process.wait()
    if worker.answer is not None:
        return Event(worker.task.name, answer=worker.answer)
    words = worker.complained.decode(errors="replace").strip().rpartition("\n")[2]
    by = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Event(worker.task.name, failure=f"its process ended by {by}{f': {words}' if words else ''}")


def _end(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """End what runs, and listen no more."""
    children.end(processes, grace)
    for process in processes:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
