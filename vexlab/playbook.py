"""Runs a playbook through ansible-runner, tells what happens, and ends it cleanly when it has to be ended."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_runner.interface import run

from vexlab import content
from vexlab.errors import OF_THE_DISK, Interrupted, VexlabError, write_problem

Event = dict[str, Any]
GRACE = 10.0  # seconds that ansible-playbook gets to end by itself


@dataclass(frozen=True)
class Failure:
    """A task that failed, or a host that could not be reached: who, where, and the task's own words."""

    role: str
    task: str
    message: str
    unreachable: bool


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended: `ok` only when Ansible says so, the first failure, and the tasks that changed something."""

    ok: bool
    failure: Failure | None
    changed: tuple[str, ...]
    stopped: bool


class Playbook:
    """One execution of a playbook.

    `on_event` gets each event of ansible-runner, in order, in another thread. `stop` may be called from any thread.
    """

    def __init__(
        self, name: str, inventory: Path, variables: Mapping[str, Any], log: Path, on_event: Callable[[Event], None],
        *, remote_tmp: str = "",
    ) -> None:  # fmt: skip
        """Keep what to run; nothing starts yet. `remote_tmp`: where Ansible's own files go on the hosts."""
        self._name = name
        self._inventory = inventory
        self._variables = dict(variables)
        self._log = log
        self._on_event = on_event
        self._remote_tmp = {"ANSIBLE_REMOTE_TMP": remote_tmp} if remote_tmp else {}
        self._mark = f"VEXLAB_RUN={uuid.uuid4()}"
        self._cancel = threading.Event()
        self._ansible_pid: int | None = None
        self._failure: Failure | None = None
        self._changed: list[str] = []
        self._stop_asked = threading.Event()
        self._done = threading.Event()
        self._status = ""
        self._problem: Exception | None = None

    def run(self, while_running: Callable[[], None] = lambda: None) -> Outcome:
        """Run to the end; `while_running` is called a few times a second. Ctrl-C ends it and raises Interrupted."""
        with tempfile.TemporaryDirectory(prefix="vexlab-") as private, self._log.open("a") as log:
            threading.Thread(target=self._work, args=(Path(private), log), name="playbook", daemon=True).start()
            try:
                # An event, not the thread, is waited for: in Python 3.11 a thread whose join() was interrupted by a
                # signal counts as ended although it still runs (bpo-45274).
                while not self._done.wait(0.2):
                    while_running()
                    if self._stop_asked.is_set():
                        self._end()
                end_marked(self._mark)  # the verifier, which waits for the tests of another stage
            except KeyboardInterrupt:
                self._end()
                raise Interrupted("interrupted", "") from None
            except BaseException:  # of `while_running`; nothing goes on that nobody watches
                self._end()
                raise
            if isinstance(self._problem, VexlabError):  # what `on_event` met
                raise self._problem
            if isinstance(self._problem, OSError) and self._problem.errno in OF_THE_DISK:
                raise write_problem(self._log, self._problem)
            if self._problem is not None:
                raise VexlabError(f"ansible-runner failed: {self._problem}", f"Ansible's output is in {self._log}")
            return Outcome(
                self._status == "successful" and self._failure is None,
                self._failure, tuple(self._changed), self._stop_asked.is_set(),
            )  # fmt: skip

    def stop(self) -> None:
        """Ask the execution to end; `run` returns when it has."""
        self._stop_asked.set()

    def _work(self, private: Path, log: Any) -> None:
        """Execute, in a thread of its own."""
        try:
            self._status = self._execute(private, log)
        except Exception as problem:  # noqa: BLE001  it is raised again, in the thread that waits
            self._problem = problem
        finally:
            self._done.set()

    def _execute(self, private: Path, log: Any) -> str:
        (private / "env").mkdir()
        # Given as an argument, settings would be dropped together with the environment files.
        (private / "env" / "settings").write_text(json.dumps({"suppress_ansible_output": True}))
        name, _, value = self._mark.partition("=")
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_CONFIG": str(content.root() / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(content.root() / "roles"),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            name: value,
            **self._remote_tmp,
        } | strategy()

        def keep(event: Event) -> bool:
            self._observe(event)
            if event.get("stdout"):
                log.write(event["stdout"] + "\n")
                log.flush()
            return True

        runner = run(  # type: ignore[no-untyped-call]
            private_data_dir=str(private), project_dir=str(content.root() / "playbooks"),
            playbook=str(content.playbook(self._name)), inventory=[str(self._inventory)], extravars=self._variables,
            envvars=environment, quiet=True, suppress_env_files=True, fact_cache_type="memory", event_handler=keep,
            cancel_callback=self._cancel.is_set,
        )  # fmt: skip
        return str(runner.status)

    def _observe(self, event: Event) -> None:
        """Take from an event what the outcome needs, and pass it on."""
        self._ansible_pid = event.get("pid") or self._ansible_pid
        data = event.get("event_data", {})
        result = data.get("res") or {}
        if event["event"] in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            unreachable = event["event"] == "runner_on_unreachable"
            failure = Failure(data.get("role") or "", data.get("task") or "", _words(result), unreachable)
            self._failure = self._failure or failure
        elif event["event"] == "runner_on_ok" and result.get("changed"):
            self._changed.append(str(data.get("task")))
        self._on_event(event)

    def _end(self) -> None:
        """End Ansible and everything it started, the polite way first.

        ansible-runner's cancel kills a process group, but Ansible's workers are in sessions of their own and survive
        it: SIGINT lets Ansible end them, and what is left after that is found by the mark in its environment.
        """
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the clean-up short
        try:
            if self._ansible_pid is not None:
                _signal_marked(self._mark, signal.SIGINT, only=self._ansible_pid)
            self._done.wait(GRACE)
            self._cancel.set()
            self._done.wait(GRACE)
            end_marked(self._mark)
            self._done.wait(GRACE)
        finally:
            signal.signal(signal.SIGINT, previous)


def strategy() -> dict[str, str]:
    """Environment that makes Ansible use mitogen, where it is installed and nobody asked for another strategy.

    The same tasks take a fifth of the time with it in an emulated guest, since Python isn't started anew for each.
    """
    if importlib.util.find_spec("ansible_mitogen") is None or "ANSIBLE_STRATEGY" in os.environ:
        return {}
    plugins = content.root() / "playbooks" / "strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}


def _words(result: Mapping[str, Any]) -> str:
    """What a failed task said: its message, and of a command its streams."""
    message = str(result.get("msg") or "").strip()
    said = str(result.get("stderr") or result.get("stdout") or "").strip()
    if said and message.startswith(("non-zero return code", "Task failed", "MODULE FAILURE")):
        command = result.get("cmd")
        shown = " ".join(command) if isinstance(command, list) else str(command or "")
        return f"`{shown}` failed: {said[-1500:]}" if shown else said[-1500:]
    return message or said or "Ansible gave no message"


def marked_processes(mark: str) -> list[int]:
    """Processes that carry the mark of an execution in their environment, which makes them provably its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in environment:
                found.append(int(entry.name))
    return found


def _signal_marked(mark: str, number: signal.Signals, only: int | None = None) -> None:
    for pid in marked_processes(mark):
        if only in (None, pid):
            try:
                # The descriptor is opened before the mark is read again: the number can't come to mean another process.
                descriptor = os.pidfd_open(pid)
                if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    signal.pidfd_send_signal(descriptor, number)
                os.close(descriptor)
            except OSError:
                continue


def end_marked(mark: str) -> None:
    """End the processes of an execution that outlived it: SIGTERM, and SIGKILL for those that don't heed it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_marked(mark, number)
        deadline = time.monotonic() + GRACE
        while marked_processes(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
