"""Runs a playbook through ansible-runner, tells what happens, and ends it cleanly when it has to be ended."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_runner.interface import init_runner

from vexlab.config import installation, literals
from vexlab.errors import OF_THE_DISK, Interrupted, UsageProblem, VexlabError, write_problem
from vexlab.guest import reaper
from vexlab.guest.lab import Lab
from vexlab.run import interrupt, scratch

Event = dict[str, Any]
PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE", "NO_COLOR", "SSH_AUTH_SOCK",
    "KRB5CCNAME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
PASSED_ON_BEGINNINGS = ("LC_", "XDG_", "ANSIBLE_", "VEXLAB_")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


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
        self, name: str, lab: Lab, variables: Mapping[str, Any], log: Path, on_event: Callable[[Event], None],
        *, inventory: Path | None = None, remote_tmp: str = "",
    ) -> None:  # fmt: skip
        """Keep what to run; nothing starts yet. Raises UsageProblem for variables that would be templates.

        `inventory`: another one than the lab's own. `remote_tmp`: where Ansible's own files go on the hosts.
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
        self._on_event = on_event
        self._inventory = inventory
        self._remote_tmp = {"ANSIBLE_REMOTE_TMP": remote_tmp} if remote_tmp else {}
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
        with self._log.open("a") as log, scratch.directory_and_sockets() as (private, sockets):
            threading.Thread(target=self._work, args=(private, sockets, log), name="playbook", daemon=True).start()
            try:
                # An event, not the thread, is waited for: in Python 3.11 a thread whose join() was interrupted by a
                # signal counts as ended although it still runs (bpo-45274).
                while not self._done.wait(0.2):
                    while_running()
                    if self._stop_asked.is_set():
                        self._end()
                reaper.end_marked(reaper.MARK)  # the verifier, which waits for the tests of another stage
            except (KeyboardInterrupt, OSError) as problem:
                self._end()
                # EIO: the terminal that progress is shown on was closed, of which a signal is about to tell.
                if isinstance(problem, OSError) and problem.errno != errno.EIO:
                    raise
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

    def _work(self, private: Path, sockets: Path, log: Any) -> None:
        """Execute, in a thread of its own."""
        try:
            self._status = self._execute(private, sockets, log)
        except Exception as problem:  # noqa: BLE001  it is raised again, in the thread that waits
            self._problem = problem
        finally:
            self._done.set()

    def _execute(self, private: Path, sockets: Path, log: Any) -> str:
        (private / "env").mkdir()
        # Given as an argument, settings would be dropped together with the environment files.
        settings = {"suppress_ansible_output": True, "suppress_output_file": True}
        (private / "env" / "settings").write_text(json.dumps(settings))
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_CONFIG": str(installation.root() / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(installation.collections()),
            "VEXLAB_SOCKET_DIRECTORY": str(sockets),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            **self._remote_tmp,
        } | strategy()

        def keep(event: Event) -> bool:
            self._observe(event)
            if event.get("stdout"):
                log.write(event["stdout"] + "\n")
                log.flush()
            return False  # the runner need not keep it

        inventories = [self._inventory] if self._inventory else self._lab.inventories()
        runner = init_runner(  # type: ignore[no-untyped-call]
            private_data_dir=str(private), project_dir=str(installation.root() / "playbooks"),
            playbook=str(installation.playbook(self._name)), inventory=[str(path) for path in inventories],
            limit=self._lab.name if self._lab.theirs else None, extravars=self._variables,
            envvars=environment, quiet=True, suppress_env_files=True, fact_cache_type="memory", event_handler=keep,
            status_handler=forget_command, cancel_callback=self._cancel.is_set,
        )  # fmt: skip
        runner.config.env = passed_on(runner.config.env)
        runner.run()
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
        with interrupt.deferred():  # a second Ctrl-C must not cut the clean-up short
            if self._ansible_pid is not None:
                reaper.signal_process(self._ansible_pid, reaper.MARK, signal.SIGINT)
            self._done.wait(reaper.GRACE)
            self._cancel.set()
            self._done.wait(reaper.GRACE)
            reaper.end_marked(reaper.MARK)
            self._done.wait(reaper.GRACE)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What Ansible gets of an environment: what it needs of ours, and what was put in for it.

    ansible-runner writes it into a file, and the environment of a CI job is full of secrets.
    """

    def is_needed(name: str) -> bool:
        return name in PASSED_ON or name.startswith(PASSED_ON_BEGINNINGS) or name.lower() in PROXIES

    return {name: value for name, value in environment.items() if is_needed(name) or os.environ.get(name) != value}


def forget_command(status: Mapping[str, Any], runner_config: Any) -> None:
    """Remove the file in which ansible-runner keeps its command and its environment, as soon as it goes on."""
    if status["status"] == "running":
        (Path(runner_config.artifact_dir) / "command").unlink(missing_ok=True)


def strategy() -> dict[str, str]:
    """Environment that makes Ansible use mitogen, where it is installed and nobody asked for another strategy.

    The same tasks take a fifth of the time with it in an emulated guest, since Python isn't started anew for each.
    """
    if importlib.util.find_spec("ansible_mitogen") is None or "ANSIBLE_STRATEGY" in os.environ:
        return {}
    plugins = installation.root() / "playbooks" / "strategy"
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
