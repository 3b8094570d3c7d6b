"""What a command came to that was run in the guest, and whether it refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vexlab.guest.inside.attempts import crash


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
