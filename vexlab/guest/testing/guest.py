"""The guest, as the tests see it: runs commands and calls functions in it, each with a deadline."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, TypeVarTuple, cast

import pytest

from vexlab.config import debug_kinds
from vexlab.guest.inside.amounts import NOTE
from vexlab.guest.inside.attempts import crash
from vexlab.guest.inside.calls import name_of
from vexlab.guest.inside.filesystem import MEASURED, UNFIT
from vexlab.guest.testing import answers, kernel_log
from vexlab.guest.testing.connection import GRACE_SECONDS, Agent, HungError, LostError, UnusableError
from vexlab.guest.testing.inventory import host_variables
from vexlab.guest.testing.result import Result, refused, shown

Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")
GUEST = pytest.StashKey["Guest"]()  # that of a session

# What verifier.py has ready before the tests of a stage start: the variables it was started with, and the agent.
_ready: list[tuple[dict[str, Any], Agent]] = []


def prepare(hosts: str, inventory: str) -> None:
    """Start an agent for the tests that come, unless there is one."""
    variables = host_variables(hosts, inventory)
    if not _ready or _ready[0][0] is not variables or not _ready[0][1].is_alive():
        forget()
        with contextlib.suppress(OSError, LostError):  # the tests will try again, and say what is wrong
            _ready.append((variables, Agent(variables)))


def forget() -> None:
    """End the agent that was made ready."""
    for _, agent in _ready:
        agent.close()
    _ready.clear()


class Guest:
    """Runs commands in the guest, each with a deadline: so many seconds with the kernel as it is, more with others."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Take the variables of the host, as the inventory has them; nothing is started before the first command."""
        self.variables = variables
        self._slower = debug_kinds.slower(variables)
        self._agent: Agent | None = None
        self._is_ours = True
        self._over: UnusableError | None = None
        self._lost = 0
        self._kernel: list[str] = []
        self._warnings: list[str] = []
        self.excused: set[str] = set()  # lines of the kernel's log that a check brought about on purpose
        self._notes: list[str] = []
        self._noted: set[str] = set()
        self._measured: dict[str, int] = {}  # limits of the filesystem that the target doesn't name
        self.orders = 0  # that were answered
        self.grace = GRACE_SECONDS  # of each command
        self.unfit = ""  # the state in which the last call left a filesystem, if that is no good for a check

    def run(self, script: str, seconds: int = 60) -> Result:
        """Run a script with `sh -eu`; killed after so many seconds, with exit code 124 then."""
        answer = self._order({"script": script, "seconds": seconds * self._slower})
        return Result(script, answer["code"], answer["stdout"], answer["stderr"], answer.get("where", ""))

    def call(self, function: Callable[[*Arguments], Value], *arguments: *Arguments, seconds: int = 60) -> Value:
        """Call a function of package `vexlab.guest.inside` in the guest; returns what it returned.

        What it raises fails the check, and so does a process that ends, or that is killed after so many seconds.
        """
        return cast(Value, self.returned(name_of(function), arguments, seconds, shown(function)))

    def returned(
        self, name: str, arguments: Sequence[Any], seconds: int, called: str, limits: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function in the guest by its name; `called` is what messages say that was done.

        What fails because it wants more than these limits of a small filesystem says nothing, and is skipped.
        """
        seconds *= self._slower
        answer = self._order({"call": name, "arguments": arguments, "seconds": seconds})
        outcome = answer["outcome"]
        if answer["code"] == 124:
            where = f"; {answer['where']}" if answer.get("where") else ""
            pytest.fail(f"{called}: it did not end within {seconds} s{where}", pytrace=False)
        if "raised" in outcome:
            sys.stderr.write(answer["stderr"])  # the traceback, which pytest shows below
            told = answers.words(outcome["raised"], called)
            if limits is not None and (
                beyond := answers.beyond_a_limit(outcome["raised"], self._measured | {**limits})
            ):
                self.unfit = self.unfit or "with something half done"
                pytest.skip(f"it takes more than there is, as the target says or was measured ({beyond}): {told}")
            pytest.fail(told, pytrace=False)
        if "value" not in outcome or answer["code"]:
            ended = crash(answer["code"]) or f"it ended with {answer['code']}"
            pytest.fail(f"{called}: the process that did it is gone, {ended}: {answer['stderr'][-600:]}", pytrace=False)
        return outcome["value"]

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._over is not None:
            raise self._over
        try:
            if self._agent is None:
                self._is_ours = not _ready
                self._agent = self._started() if self._is_ours else _ready.pop()[1]
            answer = self._agent.ask(order, self.grace)
        except UnusableError as problem:
            self._agent, self._over = None, problem
            raise
        except BaseException:
            self._agent = None
            raise
        self.orders += 1
        # What a program prints, such as a target's mkfs, tells none of it; our functions keep what theirs print.
        lines = answer["stdout"].splitlines() if "call" in order else []
        self.unfit = next((line[len(UNFIT) :] for line in lines if line.startswith(UNFIT)), "")
        told = [line[len(MEASURED) :].partition(" ") for line in lines if line.startswith(MEASURED)]
        self._measured |= {name: int(number) for name, _, number in told if number.isdecimal()}
        self._notes += [line[len(NOTE) :] for line in lines if line.startswith(NOTE)]
        self._kernel += answer["kernel"]
        self._warnings += answer["warnings"]
        self._lost += answer["lost"]
        return answer

    def _started(self) -> Agent:
        try:
            return Agent(self.variables)
        except TimeoutError as problem:
            raise HungError(str(problem)) from None
        except ConnectionError as problem:
            raise LostError(str(problem)) from None

    def new_notes(self) -> list[str]:
        """What functions in the guest noted since the last call of this, each once in a session."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        new = [note for note in notes if note not in self._noted]
        self._noted |= set(new)
        return new

    def new_kernel_messages(self) -> list[str]:
        """What the kernel logged since the last call, as far as commands have brought it along."""
        lines, self._kernel = self._kernel, []
        return lines

    def excuse_damage(self) -> None:
        """What the kernel has said since the last call of `new_kernel_messages` of a device that a check damaged.

        Whoever looks whether a device is long enough reads beyond its end, say. Neither the check fails by it, nor the
        stage.
        """
        said = kernel_log.of_damage(self._kernel)
        self.excused.update(said)
        self._kernel = [line for line in self._kernel if line not in said]

    def lost_kernel_messages(self) -> int:
        """How many of the kernel's messages since the last call of this it overwrote before they could be read."""
        lost, self._lost = self._lost, 0
        return lost

    def new_kernel_warnings(self) -> list[str]:
        """What of level warning or worse the kernel itself logged since the last call of this."""
        lines, self._warnings = self._warnings, []
        return lines

    def close(self) -> None:
        """End the connection, unless it is for the tests of the next stage too."""
        if self._agent is not None and self._is_ours:
            self._agent.close()

    def ok(self, script: str, seconds: int = 60) -> str:
        """Run a script that must succeed; returns its stdout without the blanks around it."""
        return self._succeeded(self.run(script, seconds), seconds)

    def _succeeded(self, result: Result, seconds: int) -> str:
        if result.code == 124:
            where = f"; {result.where}" if result.where else ""
            deadline = seconds * self._slower
            pytest.fail(f"{result.command}: it did not end within {deadline} s{where}", pytrace=False)
        assert result.code == 0, f"{result.command} failed with {result.code}: {result.said}"
        return result.stdout.strip()

    def refuses(self, script: str, *, because: str = "", seconds: int = 60) -> Result:
        """Run a script that must fail, and say these words; one that hangs, crashes or isn't there didn't refuse."""
        return refused(self.run(script, seconds), because)


def guest_of(config: pytest.Config) -> Guest:
    """The guest of this session, as something that runs commands with a deadline; one for all who ask."""
    if GUEST not in config.stash:
        config.stash[GUEST] = Guest(host_variables(config.option.hosts, config.option.ansible_inventory))
    return config.stash[GUEST]


def started_guest(config: pytest.Config) -> Guest | None:
    """The same, if anybody has asked for it yet."""
    return config.stash.get(GUEST, None)
