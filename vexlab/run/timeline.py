"""When the stages of a run went on, as its events tell; of a run that was cut off, as far as they go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from msgspec import MsgspecError

from vexlab.guest.failure import GuestFailure
from vexlab.report.timeline import Bar, Death, Execution
from vexlab.results import logs
from vexlab.results.model import Verdict
from vexlab.run import events
from vexlab.run.events import JUDGE, STAGE, Event, GuestReady, TaskEnded, TaskStarted
from vexlab.run.tracker import PREPARATIONS

MOST = 100_000  # events of one execution that are read


def read(directory: Path) -> list[Execution]:
    """Return each execution of a run that kept its events, in their order; none of a run of an earlier vexlab."""
    found = []
    for place in logs.executions(directory):
        title = "" if place == directory else place.name.replace("-", " ")
        if (execution := _execution(title, _events(place / "events.jsonl"))) is not None:
            found.append(execution)
    return found


def _events(path: Path) -> list[Event]:
    """Return the events of a file up to the first that can't be read, which is where its writer was killed."""
    found: list[Event] = []
    with contextlib.suppress(MsgspecError, ValueError, OSError):
        found.extend(islice(events.read(path), MOST))
    return found


def _execution(title: str, seen: Iterable[Event]) -> Execution | None:
    """Return what the events of an execution show; None when none of them has a time."""
    execution: Execution | None = None
    died: GuestFailure | None = None
    bars: list[Bar] = []
    for event in seen:
        if isinstance(event, GuestFailure):
            died = died or event
        if isinstance(event, GuestReady) and execution is not None:
            execution = replace(execution, ready=execution.ended)
        at = getattr(event, "at", None)
        if at is None:
            continue
        execution = replace(execution, ended=at) if execution else Execution(title, at, at)
        if died is not None and execution.death is None:  # nobody wrote down when, but this is the next that was seen
            execution = replace(execution, death=Death(at, died.verdict, died.reason))
        if isinstance(event, TaskStarted | TaskEnded):
            _take(bars, event)
            starts_guest = isinstance(event, TaskEnded) and event.changed and PREPARATIONS.get(event.role) == "guest"
            execution = replace(execution, fresh=execution.fresh or starts_guest)
    if execution is None:
        return None
    if bars and bars[-1].ended == 0.0:
        verdict = execution.death.verdict if execution.death else Verdict.NOT_RUN
        bars[-1] = replace(bars[-1], ended=execution.ended, verdict=bars[-1].verdict or verdict)
    return replace(execution, bars=tuple(bar for bar in bars if bar.stage))


def _take(bars: list[Bar], event: TaskStarted | TaskEnded) -> None:
    """Take a task into the bars: a stage that begins ends the one before; the task that judges ends its own."""
    is_open = bool(bars) and bars[-1].ended == 0.0
    if isinstance(event, TaskStarted) and event.action == STAGE:
        if is_open:
            bars[-1] = replace(bars[-1], ended=event.at)
        bars.append(Bar("", event.at, 0.0))
    elif not is_open:
        return
    elif isinstance(event, TaskStarted):
        if event.action == JUDGE:
            bars[-1] = replace(bars[-1], checks_began=event.at)
    elif event.announced:
        bars[-1] = replace(bars[-1], stage=event.announced)
    elif event.action == JUDGE:
        verdict = None if event.outcome == "skipped" else Verdict.FAILED if event.exit_code else Verdict.PASSED
        bars[-1] = replace(bars[-1], ended=event.at, verdict=verdict)
    elif event.went_wrong:
        bars[-1] = replace(bars[-1], verdict=Verdict.FAILED)
