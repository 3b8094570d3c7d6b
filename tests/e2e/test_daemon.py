"""A program that runs as long as the module is loaded, in a real guest: one that does so, and three others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, Done, Vexlab

pytestmark = pytest.mark.thorough

STUBBORN = "trap '' TERM; while :; do sleep 1; done"


def tested(vexlab: Vexlab, command: str, stage: str = "load") -> Done:
    """A stage, of the filesystem in memory with this daemon."""
    target = yaml.safe_load((ROOT / "examples/targets/nodev.yml").read_text())
    target |= {"vexlab_source": str(ROOT / "examples/nodev"), "vexlab_daemon_command": command}
    path = Path(vexlab.home) / "daemon.yml"
    path.write_text(yaml.safe_dump(target))
    return vexlab("test", "--quick", "--stage", stage, "--target", str(path), "--json")


def test_daemon_runs(vexlab: Vexlab) -> None:
    done = tested(vexlab, "exec sleep infinity")
    assert done.code == 0, done.stderr
    verdicts = {check["name"]: check["verdict"] for check in done.stage("load")["checks"]}
    assert verdicts["daemon.it_runs"] == "passed"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo no such device >&2; exit 3", "ended right after its start, with exit code 3: no such device"),
        ("sleep 4; echo lost it; exit 5", "daemon.it_runs: the daemon ended by itself, with exit code 5: lost it"),
    ],
    ids=["does not start", "dies"],
)
def test_daemon_that_does_not_run_is_told(vexlab: Vexlab, command: str, said: str) -> None:
    done = tested(vexlab, command)
    assert done.code == 1
    assert said in done.stage("load")["reason"]


def test_daemon_that_does_not_end_is_told_and_ended(vexlab: Vexlab) -> None:
    """The check that unloads the module fails; the guest goes on without it."""
    done = tested(vexlab, STUBBORN, "errors")
    assert done.stage("load")["verdict"] == "passed"
    failed = [check["message"] for check in done.stage("errors")["checks"] if check["verdict"] == "failed"]
    assert set(failed) == {"the daemon did not end within 15 s of SIGTERM, and was killed"}
