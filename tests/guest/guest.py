"""The guest and the lab's contract, as the tests see them."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, cast

import answers
import needs
import pytest
import testinfra
from connection import Agent, HungError, LostError, UnusableError
from inside.amounts import NOTE
from inside.attempts import crash
from inside.calls import name_of
from inside.filesystem import MEASURED, UNFIT

Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")


READ_ONLY_PHASE = 1  # of a test on a device
OWN_SECONDS = 150  # for a command of the target's own checks


def contract(config: pytest.Config) -> Lab:
    """The lab's contract for whoever has no fixture yet, which is who makes one check per case of a target file."""
    return Lab(host_variables(config.option.hosts, config.option.ansible_inventory))


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    script: str
    code: int
    stdout: str
    stderr: str
    where: str = ""  # it was at its deadline, if it did not end before

    @property
    def said(self) -> str:
        """Both streams in a form for messages, and where it was if it did not end."""
        return " ".join(f"{self.where} {self.stderr} {self.stdout}".split())[-600:]

    @property
    def command(self) -> str:
        """The script in a form for messages."""
        line = " ".join(self.script.split())
        return f"`{line if len(line) <= 300 else line[:300] + '…'}`"


def shown(function: Callable[..., object]) -> str:
    """What a function of package `inside` does, in a form for messages: how its docstring begins."""
    words = (function.__doc__ or function.__name__).strip()
    return re.split(r"[;:.]\s|[;:.]?$", words, maxsplit=1, flags=re.MULTILINE)[0]


def refused(result: Result, because: str = "") -> Result:
    """Assert that a command failed, and said these words; one that hung, crashed or wasn't there didn't refuse."""
    assert result.code != 0, f"{result.command} succeeded and should have been refused"
    crashed = crash(result.code)
    assert not crashed, f"{result.command} did not refuse, {crashed} (exit code {result.code}): {result.said}"
    found = because.lower() in result.said.lower()
    assert found, f"{result.command} was refused, but not with '{because}': {result.said}"
    return result


@cache
def read_inventory(hosts: str, inventory: str, _: float) -> dict[str, Any]:
    """The variables of one host, as testinfra reads them."""
    host = testinfra.get_host(hosts, ansible_inventory=inventory)
    found: dict[str, Any] = as_data(host.ansible.get_variables())  # type: ignore[attr-defined]
    return found


def as_data(value: Any) -> Any:
    """A value as ansible-inventory prints it, with the text in it that is tagged `!unsafe` as text again."""
    if isinstance(value, dict):
        tagged = value.get("__ansible_unsafe")
        return tagged if isinstance(tagged, str) else {key: as_data(item) for key, item in value.items()}
    return [as_data(item) for item in value] if isinstance(value, list) else value


def host_variables(hosts: str, inventory: str) -> dict[str, Any]:
    """The variables of the one host of this session; read again when the inventory has changed."""
    files = [path for path in Path(inventory).rglob("*") if path.is_file()] or [Path(inventory)]
    return read_inventory(hosts, inventory, max(path.stat().st_mtime for path in files))


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
    """Runs commands in the guest, each with a deadline."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Take the variables of the host, as the inventory has them; nothing is started before the first command."""
        self._variables = variables
        self._agent: Agent | None = None
        self._is_ours = True
        self._over: UnusableError | None = None
        self._lost = 0
        self._kernel: list[str] = []
        self._warnings: list[str] = []
        self._notes: list[str] = []
        self._noted: set[str] = set()
        self._measured: dict[str, int] = {}  # limits of the filesystem that the target doesn't name
        self.orders = 0  # that were answered
        self.unfit = ""  # the state in which the last call left a filesystem, if that is no good for a check

    def run(self, script: str, seconds: int = 60) -> Result:
        """Run a script with `sh -eu`; killed after so many seconds, with exit code 124 then."""
        answer = self._order({"script": script, "seconds": seconds})
        return Result(script, answer["code"], answer["stdout"], answer["stderr"], answer.get("where", ""))

    def call(self, function: Callable[[*Arguments], Value], *arguments: *Arguments, seconds: int = 60) -> Value:
        """Call a function of package `inside` in the guest; returns what it returned.

        What it raises fails the check, and so does a process that ends, or that is killed after so many seconds.
        """
        return cast(Value, self.returned(name_of(function), arguments, seconds, shown(function)))

    def returned(
        self, name: str, arguments: Sequence[Any], seconds: int, called: str, limits: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function in the guest by its name; `called` is what messages say that was done.

        What fails because it wants more than these limits of a small filesystem says nothing, and is skipped.
        """
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
            answer = self._agent.ask(order)
        except UnusableError as problem:
            self._agent, self._over = None, problem
            raise
        except BaseException:
            self._agent = None
            raise
        self.orders += 1
        lines = answer["stdout"].splitlines()
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
            return Agent(self._variables)
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
            pytest.fail(f"{result.command}: it did not end within {seconds} s{where}", pytrace=False)
        assert result.code == 0, f"{result.command} failed with {result.code}: {result.said}"
        return result.stdout.strip()

    def refuses(self, script: str, *, because: str = "", seconds: int = 60) -> Result:
        """Run a script that must fail, and say these words; one that hangs, crashes or isn't there didn't refuse."""
        return refused(self.run(script, seconds), because)


class Lab:
    """The `vexlab_*` variables of the host under test, without the prefix; a missing one fails by name."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Take the host's variables as the inventory has them."""
        self._variables = variables

    def __getattr__(self, name: str) -> Any:
        """`lab.module_name` is the variable vexlab_module_name."""
        try:
            return self._variables[f"vexlab_{name}"]
        except KeyError:
            pytest.fail(f"the inventory has no vexlab_{name} for this host", pytrace=False)

    def lacks(self, what: str) -> str:
        """Why the target lacks what a check needs, a word of `needs` in pytest.ini; empty when it doesn't."""
        return needs.lacks(what, self.__getattr__)

    @property
    def build(self) -> str:
        """Directory of the guest in which the target was built and its commands run; `/` for one that isn't built."""
        return "/" if self.lacks("module") else f"{self.work_directory}/build"

    @property
    def source_directory(self) -> str:
        """Where the source is, on the machine under test: shared, copied to test hardware, or brought by the image."""
        if not self.source:
            return str(self.source_in_guest)
        return f"{self.work_directory}/incoming" if self.hardware else str(self.share_directory)

    @property
    def source_copy(self) -> str:
        """Directory of the guest that holds the copy of the source."""
        return f"{self.work_directory}/source"

    @property
    def module_path(self) -> str:
        """The built module; empty for the kernel's own."""
        return "" if self.lacks("module") else f"{self.build}/{self.module_file}"

    @property
    def device_image(self) -> str:
        """What the lab's own filesystem is on: an image, or the device under test."""
        return str(self.device) or f"{self.work_directory}/device.img"

    @property
    def source_mounted(self) -> str:
        """What the lab's own filesystem is mounted from, if that is no device."""
        return f"{self.work_directory}/directory" if self.device_kind == "directory" else str(self.mount_source)

    @property
    def capabilities(self) -> list[str]:
        """What the target claims; in a read-only phase, what of it can be claimed without a writable mount."""
        claimed: list[str] = self._variables["vexlab_capabilities"]
        read_only = self.phase == READ_ONLY_PHASE
        return [name for name in claimed if not read_only or name.startswith(("mkfs-", "module-")) or name == "label"]

    @property
    def scratch_is_on_device(self) -> bool:
        """Whether scratch filesystems are on the device under test: not while nothing but mkfs may write to it."""
        return bool(self.device) and self.phase != READ_ONLY_PHASE

    def mkfs(self, device: str, label: str = "vexlab", *, force: bool = False) -> str:
        """The target's mkfs command for a device, as a script; `force`: the one for a device that isn't blank."""
        command = (force and self.mkfs_force_command) or self.mkfs_command
        return self.in_build(command, {"DEVICE": device, "LABEL": label})

    def in_build(self, command: str, variables: dict[str, str]) -> str:
        """A command of the target's, as a script: in the tree that was built, with these variables."""
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items())
        return f"cd {shlex.quote(self.build)}; {exports}{command}"

    def mkfs_refused(self, mkfs: str, ended: Sequence[Any]) -> None:
        """Assert that mkfs refused a device; `ended` is its exit code, stdout and stderr."""
        result = Result(mkfs, *ended)
        codes: list[int] = self.mkfs_refusal_codes
        if result.code not in codes:
            refused(result)
            known = " or ".join(map(str, codes))
            assert not codes, f"{result.command} ended with {result.code}, and it refuses with {known}: {result.said}"

    @property
    def around_mounts(self) -> dict[str, str]:
        """The commands that the target has run around each mount, by their fields, each as a script."""
        fields = ("before_mount_command", "mount_options_command", "after_unmount_command")
        known = {field: str(getattr(self, field)) for field in fields}
        return {field: self.in_build(command, {}) if command else "" for field, command in known.items()}

    @property
    def fsck(self) -> str:
        """The target's fsck as a script in which $DEVICE is the device; empty when it has none."""
        return self.in_build(self.fsck_command, {}) if self.fsck_command else ""

    def mount_options(self) -> str:
        """The options of a mount that can do all that the target claims."""
        return str(self.mount_options_rw if "read-write" in self.capabilities else self.mount_options_ro)
