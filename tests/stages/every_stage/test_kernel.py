"""What must hold of the kernel at the end of each stage, whatever the stage was about."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.module_utils import last_look, taint
from vexlab.guest.inside import kmsg, slabs
from vexlab.guest.testing import kernel_log
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


@pytest.fixture(scope="module")
def seen(guest: Guest, target: Target, evidence: Path) -> tuple[list[str], int, int]:
    """The kernel's whole log, how much of it was lost, and its taint flags, which are kept as evidence as well.

    What was written behind an object, or to one that was freed, is there only when the kernel has looked at it.
    """
    if not target.lacks("slab-debugging"):
        guest.call(slabs.look_at_all)
    lines, lost, flags = guest.call(kmsg.look)
    (evidence / "taint").write_text(f"{flags}\n")
    return lines, lost, flags


@pytest.fixture(scope="module")
def stage_log(
    request: pytest.FixtureRequest, seen: tuple[list[str], int, int], stage: str, evidence: Path
) -> kernel_log.StageLog:
    """The kernel's messages since the stage began, kept as evidence as well.

    The next stage goes on where this look ended: what comes between two stages is seen by one of them.
    """
    marker: Path = request.config.getoption("--marker") or evidence.parents[1] / "marker"
    token = marker.read_text().strip()
    lines, _, flags = seen
    log = kernel_log.since_marker(lines, stage, token, last_look.read(evidence.parents[1]))
    assert log is not None, f"the kernel's log has no marker of stage {stage}; was it overwritten?"
    last_look.write(evidence.parents[1], last_look.LastLook(stage, lines[-1], flags))
    (evidence / "kernel.log").write_text("".join(f"{line}\n" for line in (*log.between, *log.lines)))
    return log


def test_log_has_no_bug(
    guest: Guest, seen: tuple[list[str], int, int], stage_log: kernel_log.StageLog, stage: str
) -> None:
    """An oops, BUG, WARNING or call trace during the stage fails it, even when every command returned 0."""
    wrong = kernel_log.judge_all(stage_log, seen[1], stage, guest.excused)
    assert not wrong, wrong


def test_taint_is_explained(target: Target, seen: tuple[list[str], int, int], stage_log: kernel_log.StageLog) -> None:
    """O and E come with an out-of-tree, unsigned module; D, W, L, B, R or F mean that something broke."""
    unexpected = taint.unexpected(stage_log.taint_before, seen[2], target.taints)
    assert not unexpected, f"the kernel set taint flags {', '.join(unexpected)} during the stage"
