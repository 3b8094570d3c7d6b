"""Runs a playbook through ansible-runner, brings what happens in one queue, and ends it cleanly when it has to end."""

from __future__ import annotations

import contextlib
import errno
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from ansible_runner.interface import init_runner

from vexlab.config import installation, literals
from vexlab.errors import OF_THE_DISK, Interrupted, UsageProblem, VexlabError, write_problem
from vexlab.guest import reaper
from vexlab.guest.lab import Lab
from vexlab.run import ansible_environment, events, interrupt, scratch
from vexlab.run.events import Clock, Event, Events, Interruption, PlaybookEnded, RawEvent, TaskEnded

TICK = 0.2  # seconds between two events of the clock

Take = Callable[[Event], bool]
"""Takes an event, in the thread that runs the playbook; whether the playbook is to be ended."""


def pass_by(event: Event) -> bool:
    """Take an event and do nothing about it."""
    return False


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended: `ok` only when Ansible says so, the first failure, and the tasks that changed something."""

    ok: bool
    failure: TaskEnded | None
    changed: tuple[str, ...]


class Playbook:
    """One execution of a playbook. Use once.

    What Ansible does is put into a queue by a thread of ansible-runner; so is Ctrl-C by its signal's handler, and
    whoever watches something else meanwhile may put more into it. `run` alone takes from it, in the thread that calls
    it.
    """

    def __init__(
        self, name: str, lab: Lab, variables: Mapping[str, Any], log: Path, *, inventory: Path | None = None,
        remote_tmp: str = "", check: bool = False,
    ) -> None:  # fmt: skip
        """Keep what to run; nothing starts yet. Raises UsageProblem for variables that would be templates.

        `inventory`: another one than the lab's own. `remote_tmp`: where Ansible's own files go on the hosts. `check`:
        in check mode, which changes nothing.
        """
        if mark := literals.mark_in(dict(variables)):
            text = next(text for text in literals.texts(dict(variables)) if mark in text)
            raise UsageProblem(
                f"{text!r} holds {mark}, which Ansible would take for a template", "give it another name"
            )
        self._name = name
        self._lab = lab
        self._variables = dict(variables)
        self._log = log
        self._inventory = inventory
        self._remote_tmp = {"ANSIBLE_REMOTE_TMP": remote_tmp} if remote_tmp else {}
        self._mode = "--check" if check else None
        self._events = Events()
        self._take: Take = pass_by
        self._ticked = time.monotonic()
        # what the consumer of the queue has seen
        self._ended: PlaybookEnded | None = None
        self._failure: TaskEnded | None = None
        self._changed: list[str] = []
        self._interrupted = False
        # what the runner's thread reads, or leaves
        self._cancel = False
        self._ansible_pid: int | None = None
        self._problem: Exception | None = None

    def run(self, take: Take = pass_by, queue: Events | None = None) -> Outcome:
        """Run to the end; `take` gets every event. Ctrl-C ends it and raises Interrupted, with the rest done.

        `queue`: one that others put events into as well. Raises VexlabError when ansible-runner fails.
        """
        self._take = take
        self._events = self._events if queue is None else queue
        with (
            self._log.open("a") as log, scratch.directory_and_sockets() as (private, sockets),
            interrupt.told(lambda: self._events.put(Interruption())),
        ):  # fmt: skip
            threading.Thread(target=self._work, args=(private, sockets, log), name="playbook", daemon=True).start()
            try:
                while self._ended is None:
                    if self._handle(self._next()):
                        self._end()
                reaper.end_marked(reaper.MARK)  # the verifier, which waits for the tests of another stage
            except BaseException as problem:  # of `take`: nothing goes on that nobody follows
                self._take = pass_by
                self._end()
                # EIO: the terminal that progress is shown on was closed, of which a signal is about to tell.
                if isinstance(problem, OSError) and problem.errno == errno.EIO:
                    raise Interrupted("interrupted", "") from None
                raise
        for _ in range(self._events.qsize()):  # what came after the end, while that was cleaned up
            self._handle(self._events.get())
        if self._interrupted:
            raise Interrupted("interrupted", "")
        self._raise_problem()
        ok = self._ended.ok and self._failure is None
        return Outcome(ok, self._failure, tuple(self._changed))

    # --- the consumer's side

    def _handle(self, event: Event) -> bool:
        """Note an event and have it taken; whether it asks for the end of the playbook."""
        match event:
            case PlaybookEnded():
                self._ended = event
            case TaskEnded() if event.went_wrong:
                self._failure = self._failure or event
            case TaskEnded(outcome="ok", changed=True):
                self._changed.append(event.task)
            case Interruption():
                self._interrupted = True
        return self._take(event) or self._interrupted

    def _next(self) -> Event:
        """Wait for the next event; the clock's comes in time, however many others there are."""
        left = self._ticked + TICK - time.monotonic()
        if left > 0:
            with contextlib.suppress(Empty):
                return self._events.get(timeout=left)
        self._ticked = time.monotonic()
        return Clock(self._ticked)

    def _end(self) -> None:
        """End Ansible and everything it started, the polite way first.

        ansible-runner's cancel kills a process group, but Ansible's workers are in sessions of their own and survive
        it: SIGINT lets Ansible end them, and what is left after that is found by the mark in its environment.
        """
        if self._ansible_pid is not None:
            reaper.signal_process(self._ansible_pid, reaper.MARK, signal.SIGINT)
        self._wait(reaper.GRACE)
        self._cancel = True
        self._wait(reaper.GRACE)
        reaper.end_marked(reaper.MARK)
        self._wait(reaper.GRACE)

    def _wait(self, seconds: float) -> None:
        """Go on taking events until the playbook has ended, for so long at the most."""
        deadline = time.monotonic() + seconds
        while self._ended is None and time.monotonic() < deadline:
            self._handle(self._next())

    def _raise_problem(self) -> None:
        """Raise what the runner's thread met, in words."""
        if isinstance(self._problem, VexlabError):
            raise self._problem
        if isinstance(self._problem, OSError) and self._problem.errno in OF_THE_DISK:
            raise write_problem(self._log, self._problem)
        if self._problem is not None:
            raise VexlabError(f"ansible-runner failed: {self._problem}", f"Ansible's output is in {self._log}")

    # --- the runner's side, in a thread of its own

    def _work(self, private: Path, sockets: Path, log: Any) -> None:
        """Execute, and tell the queue of the end, whatever came of it."""
        ok = False
        try:
            ok = self._execute(private, sockets, log) == "successful"
        except Exception as problem:  # noqa: BLE001  it is raised again, in the thread that waits
            self._problem = problem
        finally:
            self._events.put(PlaybookEnded(time.monotonic(), ok))

    def _execute(self, private: Path, sockets: Path, log: Any) -> str:
        (private / "env").mkdir()
        # Given as an argument, settings would be dropped together with the environment files.
        settings = {"suppress_ansible_output": True, "suppress_output_file": True}
        (private / "env" / "settings").write_text(json.dumps(settings))
        environment = ansible_environment.settings(sockets, private / "tmp") | self._remote_tmp

        def keep(raw: RawEvent) -> bool:
            self._ansible_pid = raw.get("pid") or self._ansible_pid
            if raw.get("stdout"):
                log.write(raw["stdout"] + "\n")
                log.flush()
            if (event := events.of_runner(raw, time.monotonic())) is not None:
                self._events.put(event)
            return False  # the runner need not keep it

        inventories = [self._inventory] if self._inventory else self._lab.inventories()
        runner = init_runner(  # type: ignore[no-untyped-call]
            private_data_dir=str(private), project_dir=str(installation.root() / "playbooks"),
            playbook=str(installation.playbook(self._name)), inventory=[str(path) for path in inventories],
            limit=self._lab.name if self._lab.theirs else None, extravars=self._variables, cmdline=self._mode,
            envvars=environment, quiet=True, suppress_env_files=True, fact_cache_type="memory", event_handler=keep,
            status_handler=forget_command, cancel_callback=lambda: self._cancel,
        )  # fmt: skip
        runner.config.env = ansible_environment.passed_on(runner.config.env)
        runner.run()
        return str(runner.status)


def forget_command(status: Mapping[str, Any], runner_config: Any) -> None:
    """Remove the file in which ansible-runner keeps its command and its environment, as soon as it goes on."""
    if status["status"] == "running":
        (Path(runner_config.artifact_dir) / "command").unlink(missing_ok=True)
