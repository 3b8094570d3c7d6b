"""The guest and the lab's contract, as the tests see them. The only module that knows testinfra."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pytest

# Tries statements one by one and prints what came of each, as JSON.
ATTEMPTS = """
import errno, json, mmap, os, stat, sys
os.chdir(sys.argv[1])
outcome = {}
for name, statement in json.loads(sys.argv[2]).items():
    try:
        exec(statement)
        outcome[name] = "done"
    except OSError as problem:
        outcome[name] = errno.errorcode[problem.errno]
print(json.dumps(outcome))
"""


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    script: str
    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Both streams in a form for messages."""
        return " ".join(f"{self.stderr} {self.stdout}".split())[-600:]

    @property
    def command(self) -> str:
        """The script in a form for messages."""
        line = " ".join(self.script.split())
        return f"`{line if len(line) <= 300 else line[:300] + '…'}`"


class Guest:
    """Runs shell commands in the guest; each has a deadline, since testinfra knows none."""

    def __init__(self, host: Any) -> None:
        """Wrap a testinfra host."""
        self._host = host
        self.commands = 0

    def run(self, script: str, seconds: int = 60) -> Result:
        """Run a script with `sh -eu`; killed after so many seconds, with exit code 124 then."""
        self.commands += 1
        done = self._host.run(f"timeout -k 5 {seconds} sh -euc {shlex.quote(script)}")
        return Result(script, done.rc, done.stdout, done.stderr)

    def ok(self, script: str, seconds: int = 60) -> str:
        """Run a script that must succeed; returns its stdout without the blanks around it."""
        result = self.run(script, seconds)
        if result.code == 124:
            pytest.fail(f"{result.command} did not end within {seconds} s", pytrace=False)
        assert result.code == 0, f"{result.command} failed with {result.code}: {result.said}"
        return result.stdout.strip()

    def refuses(self, script: str, *, because: str = "", seconds: int = 60) -> Result:
        """Run a script that must fail, and say these words; one that hangs, crashes or isn't there didn't refuse."""
        result = self.run(script, seconds)
        assert result.code != 0, f"{result.command} succeeded and should have been refused"
        assert result.code < 124, f"{result.command} did not refuse, it ended with {result.code}: {result.said}"
        refused = because.lower() in result.said.lower()
        assert refused, f"{result.command} was refused, but not with '{because}': {result.said}"
        return result

    def python(self, code: str, *arguments: str, seconds: int = 60) -> str:
        """Run Python that must succeed, for system calls that no shell tool makes plainly; returns its stdout."""
        return self.ok(shlex.join(["python3", "-c", code, *arguments]), seconds)

    def attempts(self, directory: str, statements: dict[str, str]) -> dict[str, str]:
        """Try Python statements in a directory, in one go; for each name `done`, or the errno that it failed with."""
        outcome: dict[str, str] = json.loads(self.python(ATTEMPTS, directory, json.dumps(statements)))
        return outcome

    def kernel_messages(self, after: str = "") -> list[str]:
        """Lines of dmesg that follow a given line (the last one that was seen); all lines when it is not there."""
        lines = self.ok("dmesg").splitlines()
        return lines[lines.index(after) + 1 :] if after in lines else lines


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

    @property
    def build(self) -> str:
        """Directory of the guest in which the target was built."""
        return f"{self.work_directory}/build"

    @property
    def source_copy(self) -> str:
        """Directory of the guest that holds the copy of the source."""
        return f"{self.work_directory}/source"

    @property
    def module_path(self) -> str:
        """The built module."""
        return f"{self.build}/{self.module_file}"

    @property
    def device_image(self) -> str:
        """The image that the lab's own filesystem is on."""
        return f"{self.work_directory}/device.img"

    @property
    def insmod_command(self) -> str:
        """The command that loads the built module, what it depends on first."""
        parts = [f"modprobe --all {shlex.join(self.module_dependencies)} &&"] if self.module_dependencies else []
        return " ".join([*parts, "insmod", shlex.quote(self.module_path), self.module_parameters]).strip()

    def mkfs(self, device: str, label: str = "vexlab", *, force: bool = False) -> str:
        """The target's mkfs command for a device, as a script; `force`: the one for a device that isn't blank."""
        command = (force and self.mkfs_force_command) or self.mkfs_command
        variables = f"DEVICE={shlex.quote(device)} LABEL={shlex.quote(label)}"
        return f"cd {shlex.quote(self.build)}; export {variables}; {command}"

    def mount_options(self) -> str:
        """The options of a mount that can do all that the target claims."""
        return str(self.mount_options_rw if "read-write" in self.capabilities else self.mount_options_ro)
