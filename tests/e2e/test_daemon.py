"""A program that runs as long as the module is loaded, in a real guest: one that does so, and three others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, Done, Vexlab

pytestmark = pytest.mark.thorough

STUBBORN = "trap '' TERM; while :; do sleep 1; done"


def outcome(vexlab: Vexlab, command: str, stage: str = "load") -> Done:
    """A stage, of the filesystem in memory with this daemon."""
    target = yaml.safe_load((ROOT / "examples/targets/nodev.yml").read_text())
    target |= {"vexlab_source": str(ROOT / "examples/nodev"), "vexlab_daemon_command": command}
    path = Path(vexlab.home) / "daemon.yml"
    path.write_text(yaml.safe_dump(target))
    return vexlab("test", "--quick", "--stage", stage, "--target", str(path), "--json")


def test_daemon_runs(vexlab: Vexlab) -> None:
    done = outcome(vexlab, "exec sleep infinity")
    assert done.code == 0, done.stderr
    verdicts = {check["name"]: check["verdict"] for check in done.stage("load")["checks"]}
    assert verdicts["daemon.it_runs"] == "passed"


def test_daemon_that_does_not_start_is_told(vexlab: Vexlab) -> None:
    done = outcome(vexlab, "echo no such device >&2; exit 3")
    assert done.code == 1
    assert "ended right after its start, with exit code 3: no such device" in done.stage("load")["reason"]


def test_daemon_that_dies_is_told(vexlab: Vexlab) -> None:
    """Later than it takes to judge that the module is loaded, so a later stage finds it."""
    done = outcome(vexlab, "sleep 12; echo lost it; exit 5", "mount")
    assert done.code == 1
    checks = {check["name"]: check for check in done.stage("mount")["checks"]}
    assert checks["daemon.it_runs"]["verdict"] == "failed"
    assert "the daemon ended by itself, with exit code 5: lost it" in checks["daemon.it_runs"]["message"]


def test_daemon_that_does_not_end_is_told_and_ended(vexlab: Vexlab) -> None:
    """The check that unloads the module fails; the guest goes on without it."""
    done = outcome(vexlab, STUBBORN, "errors")
    assert done.stage("load")["verdict"] == "passed"
    failed = [check["message"] for check in done.stage("errors")["checks"] if check["verdict"] == "failed"]
    assert set(failed) == {"the daemon did not end within 15 s of SIGTERM, and was killed"}
