"""What goes wrong for a person: a sentence, the next step and an exit code.

Raised anywhere, printed once, at the top. The names say whose the problem is, so they don't end in Error.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar

# What a write fails with when the disk is at fault, not who wrote.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class VexlabError(Exception):
    """A failure that is told as a sentence, never as a traceback.

    `message` is the fact, `hint` is what to do next (may be empty), `exit_code` is what the process ends with;
    each subclass has its own default for the exit code.
    """

    default_exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None) -> None:
        """Keep the sentence, the next step and the exit code (None: the default of the class)."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = self.default_exit_code if exit_code is None else exit_code

    def __str__(self) -> str:
        """Return the sentence and, on a line of its own, the next step."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class StageFailed(VexlabError):  # noqa: N818
    """A stage was executed, or should have been, and did not pass."""

    default_exit_code: ClassVar[int] = 1


class UsageProblem(VexlabError):  # noqa: N818
    """What was asked for makes no sense: an unknown name, a bad option, a malformed target file."""

    default_exit_code: ClassVar[int] = 2


class HostProblem(VexlabError):  # noqa: N818
    """The machine can't run the lab as it is: a program, a right or space is missing."""

    default_exit_code: ClassVar[int] = 3


class GuestProblem(VexlabError):  # noqa: N818
    """The guest could not be brought up or reached."""

    default_exit_code: ClassVar[int] = 4


class Interrupted(VexlabError):  # noqa: N818
    """The person ended the run, by Ctrl-C or SIGTERM."""

    default_exit_code: ClassVar[int] = 130


def write_problem(path: Path, problem: OSError) -> VexlabError:
    """A failed write for people: a problem of the machine when its disk is at fault."""
    message = f"{path} can't be written: {problem.strerror}"
    return HostProblem(message, make_room(path.parent)) if problem.errno in OF_THE_DISK else VexlabError(message)


def make_room(directory: Path) -> str:
    """What to do when the disk of a directory is full."""
    return f"make room there (df -h {directory}) and run it again; what old runs and images take can go"
