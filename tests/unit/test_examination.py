"""What the end of the checks says of this machine, before it is taken for a verdict."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import msgspec
import pytest

from plugins.module_utils import last_look
from plugins.module_utils.last_look import LastLook
from vexlab.config.settings import Settings
from vexlab.guest.failure import MachineProblem
from vexlab.guest.lab import Lab
from vexlab.guest.testing import verifier
from vexlab.results.model import Check, Verdict
from vexlab.results.stage_record import StageRecord
from vexlab.run.events import JUDGE, STAGE, LateReport, RunEnded, TaskEnded, TaskStarted
from vexlab.run.examination import Examination, late_report
from vexlab.run.replan import Plan
from vexlab.run.stage_judge import StageJudge
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


SEEN = LastLook("load", "[   21.000000] toyfs: loaded", 12288)
WARNED = "WARNING: CPU: 1 PID: 12 at toyfs/late.c:12 toyfs_work+0x10/0x20 [toyfs]"
CONSOLE = f"""\
<4>[   20.000000] WARNING: CPU: 0 PID: 1 at fs/inode.c:1 what was judged
<6>[   21.000000] toyfs: loaded
<12>[   21.500000] WARNING: CPU: 0 PID: 1 at fs/inode.c:1 what a program wrote
<4>[   22.000000] {WARNED}
"""


@pytest.mark.parametrize(
    ("flags", "console", "told"),
    [
        (12288, CONSOLE, ""),  # nothing is new, whatever somebody wrote
        (12288 | 1 << 10, CONSOLE, ""),  # the target says so
        (12288 | 1 << 9, CONSOLE, f"the kernel reported a bug: [   22.000000] {WARNED}"),
        (12288 | 1 << 9, "", "the kernel set taint flags W"),
    ],
)
def test_what_the_kernel_tells_after_the_last_look(tmp_path: Path, flags: int, console: str, told: str) -> None:
    """Its flags decide, which no program's text sets."""
    (tmp_path / "console.log").write_text(console)
    assert late_report(tmp_path, flags, ["C"], tmp_path / "console.log") is None  # nobody has looked
    last_look.write(tmp_path, SEEN)
    report = late_report(tmp_path, flags, ["C"], tmp_path / "console.log")
    assert report == (LateReport("load", told) if told else None)


@pytest.mark.parametrize(
    ("checks", "verdict", "reason"),
    [("passed", Verdict.FAILED, "after its checks: it warned"), ("failed", Verdict.FAILED, "loaded: it said")],
)
def test_late_report_fails_the_stage_that_passed(tmp_path: Path, checks: str, verdict: Verdict, reason: str) -> None:
    record = StageRecord(tmp_path, "load")
    record.directory.mkdir(parents=True)
    check = Check("loaded", Verdict(checks), 1.0, "it said" if checks == "failed" else "")
    (record.directory / "checks.jsonl").write_bytes(msgspec.json.encode(check) + b"\n")
    state = State((PlannedStage("load"),))
    ended = TaskEnded(2.0, "ok", action=JUDGE, exit_code=int(checks == "failed"))
    for event in (TaskStarted(1.0, "", STAGE), ended, LateReport("load", "it warned"), RunEnded(3.0)):
        state = advance(state, event)
    stage = StageJudge(Plan("verify", ("load",)), tmp_path, tmp_path).judge(state, "load")
    assert (stage.verdict, stage.reason) == (verdict, reason)
