"""What happens while a playbook is executed, as one queue brings it: Ansible, the guest's watch, the clock, Ctrl-C.

A run writes them to `events.jsonl`. Replayed through `tracker.advance` they show what was decided, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vexlab.guest.failure import GuestFailure, MachineProblem

RawEvent = dict[str, Any]
"""An event of ansible-runner."""
STAGE = "vexfs.vexlab.stage"  # the module by which a playbook announces a stage
JUDGE = "vexfs.vexlab.judge"  # and the one by which it has its checks run
BUILDERS = ("vexfs.vexlab.build", "vexfs.vexlab.sandbox")  # they tell what was built
BUILD = "vexfs_build_result"
"""Among the facts, what a builder told: the module, or where it could not build `host_problem` or `guest_problem`."""
IMAGER = "vexfs.vexlab.image"  # it tells which image it is, or which are gone
IMAGE = "vexlab_image_result"
GUESTS = "vexfs.vexlab.guest"  # it tells where it saved the guest
CHECKPOINT = "vexlab_checkpoint_result"
REQUEST = "vexlab_image_of_request"
"""Among the facts of a failure: what was asked for can't be had, which says nothing of the machine."""
FORMATTER = "vexfs.vexlab.mkfs"  # it tells what a device is
DEVICE = "vexfs_mkfs_result"
_OURS = ("vexfs_", "vexlab_")  # what the names of facts begin with that are told to vexlab


class TaskStarted(Struct, frozen=True, tag=True):
    """Ansible begins a task of a role (empty outside of roles) that runs a module; `at` is of the monotonic clock."""

    at: float
    role: str
    action: str
    task: str = ""


class TaskEnded(Struct, frozen=True, tag=True, omit_defaults=True):
    """A task ended on a host.

    `exit_code` is that of its program, `announced` the stage that it says begins, `message` what a task that failed
    said, `facts` are those of its facts that are told to vexlab.
    """

    at: float
    outcome: Literal["ok", "failed", "unreachable", "skipped"]
    role: str = ""
    task: str = ""
    action: str = ""
    changed: bool = False
    exit_code: int | None = None
    announced: str = ""
    message: str = ""
    facts: dict[str, Any] = {}

    @property
    def went_wrong(self) -> bool:
        """Whether it failed, or its host could not be reached."""
        return self.outcome in ("failed", "unreachable")


class TaskRetried(Struct, frozen=True, tag=True):
    """A task that asks again and again has asked once more; `facts` as of one that ended."""

    at: float
    facts: dict[str, Any] = {}


class PlaybookEnded(Struct, frozen=True, tag=True):
    """Ansible ended; `ok` is what it says of the whole playbook."""

    at: float
    ok: bool


class Clock(Struct, frozen=True, tag=True):
    """Time passes; `at` is of the monotonic clock."""

    at: float


class Interruption(Struct, frozen=True, tag=True):
    """The person ends the run."""

    reason: str = "interrupted"


class GuestReady(Struct, frozen=True, tag=True):
    """The guest is there and nobody replaces it any more: what happens to it from now on counts."""


class LateReport(Struct, frozen=True, tag=True):
    """The kernel told of a bug when the checks of this stage, the last one, had had their last look at it."""

    stage: str
    reason: str


class WatchClosed(Struct, frozen=True, tag=True):
    """Nobody will tell anything of the guest any more."""


class RunEnded(Struct, frozen=True, tag=True):
    """All is known that will be; `at` is of the monotonic clock."""

    at: float


Event = (
    TaskStarted | TaskEnded | TaskRetried | PlaybookEnded | Clock | Interruption | GuestReady | LateReport | WatchClosed
    | RunEnded | GuestFailure | MachineProblem
)  # fmt: skip
Events = SimpleQueue[Event]

_reader = msgspec.json.Decoder(Event)


def of_runner(raw: RawEvent, at: float) -> TaskStarted | TaskEnded | TaskRetried | None:
    """Return what an event of ansible-runner means; None when it is none of a task, or of a failure that is ignored."""
    data = raw.get("event_data") or {}
    role = str(data.get("role") or "").rpartition(".")[2]
    action = str(data.get("task_action") or "")
    kind = raw["event"]
    if kind == "playbook_on_task_start":
        return TaskStarted(at, role, action, str(data.get("task") or ""))
    if kind == "runner_retry":
        return TaskRetried(at, _told(data.get("res") or {}))
    outcome = kind.removeprefix("runner_on_")
    if kind == outcome or outcome not in ("ok", "failed", "unreachable", "skipped") or data.get("ignore_errors"):
        return None
    result = data.get("res") or {}
    wrong = outcome in ("failed", "unreachable")
    exit_code = result.get("rc")
    facts = _told(result)
    if action in BUILDERS:
        told = {name: result[name] for name in ("module", "host_problem", "guest_problem") if name in result}
        facts |= {BUILD: told} if told else {}
    if action == IMAGER and outcome == "ok":
        facts[IMAGE] = {name: result[name] for name in ("key", "removed", "kept") if name in result}
    if action == GUESTS and outcome == "ok" and result.get("checkpoint"):
        facts[CHECKPOINT] = str(result["checkpoint"])
    if action == IMAGER and wrong and result.get("of_request"):
        facts[REQUEST] = True
    if action == FORMATTER and outcome == "ok" and result.get("device"):
        facts[DEVICE] = result["device"]
    return TaskEnded(
        at, outcome, role, str(data.get("task") or ""), action, bool(result.get("changed")),
        exit_code if isinstance(exit_code, int) else None,
        str((result.get("stage") or {}).get("name", "")) if action == STAGE else "",
        _message(outcome, str(data.get("host") or ""), result) if wrong else "", facts,
    )  # fmt: skip


def encode(event: Event) -> bytes:
    """Return an event as a line of `events.jsonl`."""
    return msgspec.json.encode(event) + b"\n"


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a file that was written line by line with `encode`."""
    with path.open("rb") as lines:
        for line in lines:
            yield _reader.decode(line)


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the facts of a result that are told to vexlab."""
    return {name: value for name, value in (result.get("ansible_facts") or {}).items() if name.startswith(_OURS)}


def _message(outcome: str, host: str, result: Mapping[str, Any]) -> str:
    """Return what a task that went wrong said."""
    return unreachable(host, _words(result)) if outcome == "unreachable" else _words(result)


def unreachable(host: str, said: str) -> str:
    """Return why a host can't be reached, as a sentence, from what ssh or Ansible said."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return f"{host} shows another host key than the one in known_hosts: it was set up anew, or it isn't {host}"
    if "Host key verification failed" in said:
        return f"{host} is not known: ssh to it once and compare its host key, which puts it into known_hosts"
    refused = re.search(r"ssh: connect to host (\S+) port (\d+): (.+)", said)
    if refused:
        why = refused[3].strip().rstrip(".")
        return f"{host} ({refused[1]}:{refused[2]}) can't be reached: {why[:1].lower()}{why[1:]}"
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("Task failed:")]
    return f"{host} can't be reached: {lines[-1] if lines else said.strip()}"


def _words(result: Mapping[str, Any]) -> str:
    """Return what a failed task said: its message, and of a command its streams."""
    message = str(result.get("msg") or "").strip()
    said = str(result.get("stderr") or result.get("stdout") or "").strip()
    if said and message.startswith(("non-zero return code", "Task failed", "MODULE FAILURE")):
        command = result.get("cmd")
        shown = " ".join(command) if isinstance(command, list) else str(command or "")
        return f"`{shown}` failed: {said[-1500:]}" if shown else said[-1500:]
    return message or said or "Ansible gave no message"
