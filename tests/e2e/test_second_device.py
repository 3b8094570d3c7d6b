"""A filesystem with two devices: ext4 with its journal on the second one, in a real guest."""

from __future__ import annotations

import pytest

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough

TARGET = ROOT / "examples/targets/controls/ext4-two-devices.yml"


def test_all_of_it_has_two_devices(vexlab: Vexlab) -> None:
    """What the roles mount, and each device that a check makes: damaged, copied, full, put back."""
    done = vexlab("test", "--keep", "--quick", "--target", str(TARGET), "--json")
    assert done.code == 0, done.stderr
    assert [check["verdict"] for check in done.stage("mount")["checks"]].count("passed") > 200
    seen = vexlab(
        "ssh", "dumpe2fs -h $(findmnt -no SOURCE /mnt/vexlab); losetup --noheadings --output BACK-FILE"
    ).stdout
    assert "Journal device:" in seen
    files = sorted(line.rsplit("/", 1)[1] for line in seen.splitlines() if line.startswith("/var/lib/vexlab/"))
    assert files == ["device.img", "device.img.second"]
    assert vexlab("down").code == 0
