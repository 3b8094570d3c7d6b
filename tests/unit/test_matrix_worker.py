"""Processes that do the work of cells: what they tell, how many there are at once, and that none is left."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vexlab.matrix import worker
from vexlab.matrix.worker import Event, Task


def task(name: str, **order: Any) -> Task:
    """A task that is matrix_task.py."""
    return Task(name, "tests.unit.matrix_task", json.dumps(order).encode())


def events(tasks: Sequence[Task], at_once: int) -> list[Event]:
    return [event for event in worker.run(tasks, at_once, 10) if event is not None]


def test_each_task_tells_what_it_does_and_answers() -> None:
    seen = events([task("a", number=1), task("b", number=2), task("c", number=3)], 2)
    assert {event.name: event.answer for event in seen if event.answer} == {
        name: {"number": number} for name, number in (("a", 1), ("b", 2), ("c", 3))
    }
    assert [event.name for event in seen if event.doing == "at work"][-1] == "c", "it begins when another is over"


def test_task_that_dies_ends_without_an_answer_and_takes_no_other_along() -> None:
    seen = events([task("a", fail="no space left"), task("b", number=2)], 1)
    failure = next(event.failure for event in seen if event.name == "a" and event.failure)
    assert failure == "its process ended by exit code 1: no space left"
    assert any(event.answer == {"number": 2} for event in seen)


def test_line_that_a_library_prints_is_no_word_of_the_task() -> None:
    """It is what is told of a task that ends without an answer, as what it complains of is."""
    seen = events([task("a", print="a warning", number=1), task("b", print="[1]", fail="")], 1)
    assert any(event.answer == {"number": 1} for event in seen)
    assert [event.failure for event in seen if event.failure] == ["its process ended by exit code 1: [1]"]


def test_one_at_a_time_is_one_at_a_time() -> None:
    names = [event.name for event in events([task("a", number=1), task("b", number=2)], 1)]
    assert names == ["a", "a", "b", "b"]


def test_whoever_stops_listening_leaves_no_task_behind(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    began = time.monotonic()
    with contextlib.closing(worker.run([task("a", wait=str(mark))], 1, 30)) as running:
        for event in running:
            if event is not None and event.doing:
                break
    assert mark.read_text() == "interrupted"
    assert time.monotonic() - began < 30
