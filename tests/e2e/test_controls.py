"""Filesystems of the kernel itself: no check may fail on them, and what fails elsewhere is compared with them."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

TARGETS = ROOT / "examples" / "targets"


def test_no_check_of_a_mounted_filesystem_fails_on_tmpfs(vexlab: Vexlab) -> None:
    """The smallest of the controls, by the stage with the most checks; `make controls` runs all of all."""
    done = vexlab("test", "--stage", "mount", "--target", str(TARGETS / "controls" / "tmpfs.yml"), "--json")
    assert done.code == 0, done.stderr
    verdicts = [check["verdict"] for check in done.stage("mount")["checks"]]
    assert verdicts.count("passed") > 200
    assert set(verdicts) == {"passed", "skipped"}


@pytest.mark.thorough
def test_what_went_wrong_is_run_on_the_control(vexlab: Vexlab) -> None:
    """The filesystem in memory counts no room, and here claims to; tmpfs does count it."""
    nodev = yaml.safe_load((TARGETS / "nodev.yml").read_text())
    nodev |= {"vexlab_source": str(ROOT / "examples/nodev")}
    nodev["vexlab_capabilities"].append("statfs")
    file = vexlab.home / "claims.yml"
    file.write_text(yaml.safe_dump(nodev))
    words = ("--name", "claims", "--check", "mount/statfs.*", "--target", str(file), "--control", "tmpfs", "--json")
    done = vexlab("test", *words)
    assert done.code == 1
    failed = [check for check in done.stage("mount")["checks"] if check["verdict"] == "failed"]
    assert failed
    said = re.search(r"of (\d+) checks that went wrong, on tmpfs: (\d+) passed", done.stderr)
    assert said is not None, done.stderr
    assert (int(said[1]), int(said[2])) == (len(failed), len(failed))
    assert not any("also fails" in check["advice"] for check in failed)
    assert "claims-tmpfs" in vexlab("runs").stdout
    assert not (vexlab.labs / "claims-tmpfs" / "guest.json").exists()
