"""What fails on a filesystem is compared with one of the kernel itself."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough

TARGETS = ROOT / "examples" / "targets"


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
