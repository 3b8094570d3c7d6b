"""What the operating system refuses, in words: whose problem it is, where, and what helps."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from vexlab.errors import HostProblem, of_system


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EIO])
def test_what_the_machine_refuses_is_its_problem(number: int) -> None:
    problem = of_system(OSError(number, "x", "/some/where"))
    assert isinstance(problem, HostProblem)
    assert problem.message == f"{os.strerror(number)}: /some/where"
    assert problem.hint


def test_another_refusal_is_not() -> None:
    problem = of_system(OSError(errno.ENOTDIR, "x", "/some/where"))
    assert (problem.exit_code, problem.message) == (1, "Not a directory: /some/where")
    assert of_system(OSError("QEMU did not answer")).message == "QEMU did not answer"


def test_directory_that_can_not_be_written() -> None:
    """Nobody makes a directory in /sys, not even root."""
    environment = os.environ | {"XDG_STATE_HOME": "/sys"}
    command = [sys.executable, "-m", "vexlab", "up"]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "/sys/vexlab" in done.stderr
    assert "XDG_STATE_HOME" in done.stderr
    assert "Traceback" not in done.stderr
