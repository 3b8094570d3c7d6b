"""Checkpoints: the save of a guest that is cut short or has no room, and one that goes while a guest is on it."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.e2e.harness import Done, wait_until
from tests.faults.fault import Fault
from tests.faults.fault_site import Site
from tests.faults.test_verdicts import small_disk


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def checkpoints(site: Site) -> Path:
    """The directory of the checkpoints of the image that the lab used last; made, if it isn't there."""
    key = next(entry["key"] for entry in site.vexlab("image", "list", "--json").document if "default" in entry["labs"])
    found = Path(site.vexlab.environment["XDG_CACHE_HOME"]) / "vexlab" / "images" / str(key) / "checkpoints"
    found.mkdir(exist_ok=True)
    return found


def another_tree(site: Site) -> None:
    """Make the source one that nobody has saved a guest of; what is saved stays beside the image for later runs."""
    (site.source / "kernel" / "new").write_text(f"{uuid.uuid4()}\n")


def killed(site: Site) -> Done:
    """Kill vexlab while the guest is stopped to be saved: a `cp` that doesn't end sees to it that it is."""
    programs = site.home / "slow"
    programs.mkdir(exist_ok=True)
    (programs / "cp").write_text("#!/bin/sh\nexec sleep 600\n")
    (programs / "cp").chmod(0o755)
    another_tree(site)
    before = site.vexlab.environment["PATH"]
    site.vexlab.environment["PATH"] = f"{programs}{os.pathsep}{before}"
    try:
        process = site.start()
        wait_until(lambda: is_stopped(site), process)
        return site.end_with(process, signal.SIGKILL)
    finally:
        site.vexlab.environment["PATH"] = before


def is_stopped(site: Site) -> bool:
    """Whether the lab's guest is stopped to be saved."""
    try:
        pauses = site.vexlab.record().get("pauses", {"begun": 0, "ended": 0})
    except (OSError, ValueError):
        return False
    return bool(pauses["begun"] > pauses["ended"])


def no_room(site: Site) -> Done:
    """A small filesystem where checkpoints are kept."""
    another_tree(site)
    with small_disk(checkpoints(site), 16):
        return site.up("--clean")


def pruned(site: Site) -> Done:
    """Take the checkpoint away under the guest that goes on from it, and have the guest judged."""
    assert site.up().code == 0  # a new guest, which is saved
    assert site.vexlab("down").code == 0
    up = site.up()
    assert "goes on from the one that was saved" in up.stderr, up.stderr
    shutil.rmtree(site.vexlab.record()["saved_state"])
    return site.vexlab("verify")


FAULTS = (
    Fault(
        "vexlab is killed in a save", "SIGKILL to vexlab while the guest is stopped to be saved", killed,
        verdict="not_run", exit_code=-signal.SIGKILL,
    ),
    Fault(
        "no room for a checkpoint", "16 MB where the checkpoints of the image are kept", no_room,
        verdict="passed", exit_code=0, next_up="",
    ),
    Fault(
        "a checkpoint is pruned under its guest", "the directory of the saved guest removed while one goes on from it",
        pruned, verdict="passed", exit_code=0, lab="gone", next_up="",
    ),
)  # fmt: skip
