"""The connection to the process in the guest that runs the commands; agent.py is its other end."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import shlex
import signal
import subprocess
import time
from functools import cache
from typing import Any

from plugins.module_utils import daemon, device
from plugins.module_utils.source_text import text_of
from vexlab.guest import inside
from vexlab.guest.testing import agent, answers, kernel_log


class UnusableError(Exception):
    """Nothing more can be judged in this guest; `verdict` is what that makes of the check that found it out."""

    verdict = "not_run"


class HungError(UnusableError):
    """The guest's kernel hangs: a process that can't be killed, or no answer any more."""

    verdict = "hung"


class LostError(UnusableError):
    """The process in the guest that runs the checks is gone, or the connection to it."""

    verdict = "lost"


class FullError(UnusableError):
    """The guest's own disk is full. What a check finds then says nothing about the filesystem."""


GONE = "the connection to the guest ended"
START_SECONDS = 60.0  # until a loaded guest has started a Python
WHY_SECONDS = 20.0  # until the guest has told why it ended a process
TRANSFER_SECONDS = 60.0  # from the first byte of an answer to its last
ANSWER_BYTES = 64 << 20  # of one answer: two streams and an outcome as agent.py bounds them, each byte as JSON's six
READ_BYTES = 1 << 20
GRACE_SECONDS = 30.0  # beyond a command's own deadline, until the guest counts as hung

SHARED = (device, daemon)  # which disk a test on a device writes to, and what runs as long as the module is loaded


@cache
def sources() -> dict[str, str]:
    """The text of each module that runs in the guest, by its name."""
    names = [f"{inside.__name__}.{module.name}" for module in pkgutil.iter_modules(inside.__path__)]
    return {module.__name__: text_of(module) for module in (inside, *map(importlib.import_module, names), *SHARED)}


class Agent:
    """The process in the guest that runs the commands; see agent.py."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Start it over ssh, the way the inventory says; with sudo for a user who isn't root."""
        python = variables.get("ansible_python_interpreter", "/usr/bin/python3")
        self._process = subprocess.Popen(
            [*ssh_command(variables), shlex.join([*sudo(variables), python, "-I", "-c", text_of(agent)])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._look = look_command(variables, "dmesg")
        try:
            self._number = int(self._read(START_SECONDS)["ready"])
        except (OSError, LostError):
            self.close()
            raise
        self._send({"sources": sources(), "disks": ["/", *filter(None, [variables.get("vexlab_work_directory")])]})

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None, "the connection to the guest has no way in"
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, order: dict[str, Any], grace: float = GRACE_SECONDS) -> dict[str, Any]:
        """Have one command run; raises UnusableError when the guest doesn't answer, or is no place to judge in.

        `grace`: seconds beyond the command's own deadline, which is kept in the guest, until the guest counts as hung.
        """
        try:
            self._send(order)
            answer = self._read(order["seconds"] + grace)
        except TimeoutError as problem:
            self.close()
            raise HungError(str(problem)) from None
        except ConnectionError:
            self.close()
            raise LostError(self._why_gone()) from None
        except BaseException:
            self.close()  # what comes next would be the answer to this order
            raise
        if "stuck" in answer:
            raise HungError(f"the kernel hangs: after {order['seconds']} s, SIGKILL did not end {answer['stuck']}")
        if "killed" in answer:
            raise LostError(killed(answer["killed"], answer["kernel"]))
        if "full" in answer:
            raise FullError(f"the guest's own disk is full, at {answer['full']}")
        return answer

    def _why_gone(self) -> str:
        """Why the process is gone: the guest says it, if it still answers."""
        try:
            done = subprocess.run(
                self._look, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=WHY_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return GONE
        return GONE if done.returncode else killed(self._number, done.stdout.splitlines())

    def is_alive(self) -> bool:
        """Whether its connection still stands."""
        return self._process.poll() is None

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None, "the connection to the guest has no way out"
        answer, stream, deadline = bytearray(), self._process.stdout.fileno(), time.monotonic() + seconds
        while not answer.endswith(b"\n"):  # the agent says nothing but what it was asked for
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"the guest did not answer within {seconds:.0f} s")
            part = os.read(stream, READ_BYTES)
            if not part:
                raise ConnectionError(GONE)
            if not answer:
                deadline = time.monotonic() + TRANSFER_SECONDS
            answer += part
            if len(answer) > ANSWER_BYTES:
                raise LostError(f"the guest's answer is longer than {ANSWER_BYTES >> 20} MiB")
        try:
            return answers.checked(bytes(answer))
        except ValueError as problem:
            raise LostError(f"what the guest answered is no answer: {problem}") from None

    def close(self) -> None:
        """End it. In a fork of the process that started it, Popen.kill would take it for ended already."""
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


def killed(process: int, lines: list[str]) -> str:
    """What ended the process that runs the checks: of the kernel's lines, the one that says so; else somebody."""
    who = "the process in the guest that runs the checks"
    line = next((line for line in kernel_log.out_of_memory(lines) if f" process {process} " in line), None)
    return f"{who} was killed: the guest ran out of memory: {line}" if line else f"{who} was killed by somebody"


def sudo(variables: dict[str, Any]) -> list[str]:
    """What comes before a command that root has to run; nothing for root."""
    return [] if variables.get("ansible_user", "root") == "root" else ["sudo", "-n"]


def look_command(variables: dict[str, Any], script: str) -> list[str]:
    """The command that has root of a host run a script, over a connection that ends with it.

    One that became the master of later connections would stay, and hold the pipes open.
    """
    ssh, *reach = ssh_command(variables)
    return [ssh, "-o", "ControlMaster=no", *reach, shlex.join([*sudo(variables), "sh", "-c", script])]


def ssh_command(variables: dict[str, Any]) -> list[str]:
    """The command that reaches a host, from the variables with which Ansible reaches it."""
    options = shlex.split(variables.get("ansible_ssh_common_args", ""))
    if "ansible_ssh_private_key_file" in variables:
        options += ["-i", variables["ansible_ssh_private_key_file"]]
    options += ["-p", str(variables.get("ansible_port", 22)), "-l", variables.get("ansible_user", "root"), "-T"]
    return ["ssh", *options, variables.get("ansible_host", variables.get("inventory_hostname", ""))]
