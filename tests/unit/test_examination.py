"""What the end of the checks says of this machine, before it is taken for a verdict."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from vexlab.config.settings import Settings
from vexlab.guest.failure import MachineProblem
from vexlab.guest.lab import Lab
from vexlab.guest.testing import verifier
from vexlab.run.events import JUDGE, STAGE, TaskEnded, TaskStarted
from vexlab.run.examination import Examination
from vexlab.run.tracker import PlannedStage, State, advance

BEGUN = advance(State((PlannedStage("mount"),)), TaskStarted(1.0, "", STAGE))


def found(tmp_path: Path, exit_code: int | None) -> list[object]:
    looks = Examination(
        Lab("toy", tmp_path), cast(Settings, None), root=tmp_path, directory=tmp_path, creates_guest=False
    )
    return list(looks.before(BEGUN, TaskEnded(2.0, "failed", action=JUDGE, exit_code=exit_code)))


@pytest.mark.parametrize("code", [verifier.ENDED, 137, -signal.SIGKILL], ids=["pytest", "who asked", "Python"])
def test_checks_that_were_killed_here_are_no_verdict(tmp_path: Path, code: int) -> None:
    """The OOM killer of this machine says nothing of the module."""
    [problem] = found(tmp_path, code)
    assert isinstance(problem, MachineProblem)
    assert problem.reason == f"the process that runs the checks was ended on this machine (exit code {code})"


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 20, None])
def test_checks_that_ended_by_themselves_are(tmp_path: Path, code: int | None) -> None:
    assert found(tmp_path, code) == []


KILLED = "import os, signal\ndef test_it(): os.kill(os.getpid(), signal.SIGKILL)\n"


def test_killed_checks_have_an_exit_code_of_their_own(tmp_path: Path) -> None:
    """Not that of an error within pytest."""
    (tmp_path / "test_killed.py").write_text(KILLED)
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "said").open("w") as said:
        words = ["-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
        assert not verifier.run(words, [said.fileno(), said.fileno()], theirs)
        assert ours.recv(1)[0] == verifier.ENDED


def test_checks_of_which_nobody_answers_have_it_too(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / verifier.SOCKET))
    listener.listen()
    asks = subprocess.Popen(
        [sys.executable, "-m", verifier.NAME, str(tmp_path), "ansible://here", "/i", "--stage=mount"],
        stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    with listener:
        listener.accept()[0].close()
        assert asks.wait(30) == verifier.ENDED
