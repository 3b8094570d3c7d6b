"""`vexlab watch` in a real guest: a save that breaks the filesystem, and one that mends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Vexlab, edit, wait_until
from vexlab.guest.lab import guest_pid

pytestmark = pytest.mark.thorough

RIGHT, WRONG = "sb->s_time_gran = 1;", "sb->s_time_gran = NSEC_PER_SEC;"
FAILS = "edges.edge[times]"


def runs(vexlab: Vexlab) -> list[Path]:
    """The runs that ended, in their order."""
    return sorted(vexlab.runs.glob("*/results.json"), key=lambda path: path.stat().st_mtime)


def test_a_save_that_breaks_it_is_told_and_what_failed_is_first_in_the_next_round(vexlab: Vexlab) -> None:
    tree, told = vexlab.home / "nodev", vexlab.home / "told"
    shutil.copytree(ROOT / "examples" / "nodev", tree)
    command = f'echo "$VEXLAB_VERDICT_BEFORE $VEXLAB_VERDICT: $VEXLAB_REASON: $VEXLAB_PAGE" >>{told}'
    target = str(ROOT / "examples" / "targets" / "nodev.yml")
    process = vexlab.start("watch", "--target", target, "--source", str(tree), "--run", command)

    def lines() -> list[str]:
        return told.read_text().splitlines() if told.exists() else []

    def is_told(number: int) -> Callable[[], bool]:
        return lambda: len(lines()) == number

    wait_until(lambda: len(runs(vexlab)) == 1 and json.loads(runs(vexlab)[0].read_text())["finished"], process)
    edit(tree / "memfs.c", RIGHT, WRONG)
    wait_until(is_told(1), process)
    before, _, reason = lines()[0].partition(": ")
    assert before == "passed failed"
    assert reason.startswith("stage mount failed: ")
    failed = json.loads(runs(vexlab)[-1].read_text())
    wrong = {check["name"] for stage in failed["stages"] for check in stage["checks"] if check["verdict"] == "failed"}
    assert FAILS in wrong
    assert Path(reason.rpartition(": ")[2]).is_file()

    count = len(runs(vexlab))
    edit(tree / "memfs.c", WRONG, RIGHT)
    wait_until(is_told(2), process)
    assert lines()[1].startswith("failed passed: ")
    first, *_ = runs(vexlab)[count:]
    assert {name.partition("/")[2] for name in json.loads(first.read_text())["chosen"]} == wrong

    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole group gets it
    done = vexlab.finish(process, patience=120)
    assert done.code == 130, done.stderr
    assert "not watching any more; the guest stays up" in done.stderr
    assert sum(" ✘ failed: memfs.c: stage mount failed" in line for line in done.stderr.splitlines()) == 1
    assert guest_pid(vexlab.record()) is not None
