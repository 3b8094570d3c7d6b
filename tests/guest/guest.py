"""The guest and the lab's contract, as the tests see them. The only module that knows testinfra."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    command: str
    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Both streams in a form for messages."""
        return " ".join(f"{self.stderr} {self.stdout}".split())[-600:]


class Guest:
    """Runs shell commands in the guest; each has a deadline, since testinfra knows none."""

    def __init__(self, host: Any) -> None:
        """Wrap a testinfra host."""
        self._host = host

    def run(self, script: str, seconds: int = 60) -> Result:
        """Run a script with `sh -eu`; killed after so many seconds, with exit code 124 then."""
        wrapped = f"timeout -k 5 {seconds} sh -euc {shlex.quote(script)}"
        done = self._host.run(wrapped.replace("%", "%%"))
        return Result(script, done.rc, done.stdout, done.stderr)

    def ok(self, script: str, seconds: int = 60) -> str:
        """Run a script that must succeed; returns its stdout without the blanks around it."""
        result = self.run(script, seconds)
        if result.code == 124:
            pytest.fail(f"`{script}` did not end within {seconds} s", pytrace=False)
        assert result.code == 0, f"`{script}` failed with {result.code}: {result.said}"
        return result.stdout.strip()

    def refuses(self, script: str, *, because: str = "", seconds: int = 60) -> Result:
        """Run a script that must fail, with these words on its output; a command that hangs or is missing didn't refuse."""
        result = self.run(script, seconds)
        assert result.code != 0, f"`{script}` succeeded and should have been refused"
        assert result.code < 124, f"`{script}` did not refuse, it ended with {result.code}: {result.said}"
        assert because.lower() in result.said.lower(), f"`{script}` was refused, but not with '{because}': {result.said}"
        return result

    def kernel_messages(self, after: str = "") -> list[str]:
        """Lines of dmesg that follow a given line (the last one that was seen); all lines when it is not there."""
        lines = self.ok("dmesg").splitlines()
        return lines[lines.index(after) + 1 :] if after in lines else lines


class Lab:
    """The `vexlab_*` variables of the host under test, by their names without the prefix; a missing one fails by name."""

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
        """The target's mkfs command for a device, as a script."""
        command = self.mkfs_force_command if force else self.mkfs_command
        return f"cd {shlex.quote(self.build)}; export DEVICE={shlex.quote(device)} LABEL={shlex.quote(label)}; {command}"
