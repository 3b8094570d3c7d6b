"""What goes wrong for a person: a sentence, the next step and an exit code.

Raised anywhere, printed once, at the top. The names say whose the problem is, so they don't end in Error.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import ClassVar

# What a write fails with when the disk is at fault, not who wrote.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
# What else this machine keeps from anybody, whatever was asked for, and what helps.
OF_THE_MACHINE = {
    errno.EACCES: "make it yours to write",
    errno.EPERM: "make it yours to write",
    errno.EMFILE: "ulimit -n tells how many files may be open",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "make memory free",
}
PLACES = "or name another directory: XDG_STATE_HOME, XDG_CACHE_HOME, XDG_RUNTIME_DIR, TMPDIR"


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


def of_system(problem: OSError) -> VexlabError:
    """A refusal of the operating system that nobody had an answer to, in words: HostProblem if it is the machine's."""
    if problem.errno is None:
        return VexlabError(str(problem))
    where = Path(os.fsdecode(problem.filename)) if isinstance(problem.filename, (str, bytes)) else None
    message = os.strerror(problem.errno) + (f": {where}" if where else "")
    if problem.errno in OF_THE_DISK:
        return HostProblem(message, f"{make_room(where.parent)}; {PLACES}" if where else PLACES)
    if problem.errno in OF_THE_MACHINE:
        return HostProblem(
            message, f"{OF_THE_MACHINE[problem.errno]}, {PLACES}" if where else OF_THE_MACHINE[problem.errno]
        )
    return VexlabError(message)
