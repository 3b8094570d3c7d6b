"""A filesystem with two devices: ext4 with its journal on the second one, in a real guest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.bench import Bench
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


FORMAT = """
mke2fs -q -F -O journal_dev -b 1024 "$SECOND_DEVICE"
mke2fs -q -F -t ext4 -b 1024 -J device="$SECOND_DEVICE" "$DEVICE"
"""


def formatted(bench: Bench, second: str, serial: str) -> str:
    """Have role vexfs_mkfs format disk DATA and a second one; what Ansible printed."""
    inputs = {
        "vexfs_mkfs_device": "/dev/disk/by-id/virtio-DATA", "vexfs_mkfs_serial": "DATA",
        "vexfs_mkfs_second_device": f"/dev/disk/by-id/virtio-{second}", "vexfs_mkfs_second_serial": serial,
        "vexfs_mkfs_command": FORMAT, "vexfs_mkfs_directory": "/",
    }  # fmt: skip
    play = {"hosts": "all", "gather_facts": False, "become": True, "vars": inputs}
    file = bench.vexlab.home / "two.yml"
    file.write_text(yaml.safe_dump([play | {"roles": ["vexfs.vexlab.vexfs_mkfs"]}]))
    command = [str(Path(bench.vexlab.python).with_name("ansible-playbook")), "-i", str(bench.inventory), str(file)]
    done = subprocess.run(command, cwd=ROOT, env=bench.vexlab.environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_second_device_of_a_machine_is_proven_free_as_the_first_is(vexlab: Vexlab) -> None:
    """Whatever speaks against the one keeps the other as it was."""
    bench = Bench(vexlab, {"DATA": 64, "JOURNAL": 16, "USED": 16})
    bench.ssh("mke2fs -q -t ext4 /dev/disk/by-id/virtio-USED")
    refused = {
        ("JOURNAL", "OTHER"): "its serial number is JOURNAL, not OTHER",
        ("DATA", "DATA"): "are one device; nothing is formatted",
        ("USED", "USED"): "it carries a signature (ext4)",
        ("NOTHING", "NOTHING"): "there is no such device",
    }
    for (second, serial), words in refused.items():
        said = " ".join(formatted(bench, second, serial).split())
        assert words in said, said
    assert bench.ssh("wipefs --noheadings /dev/disk/by-id/virtio-DATA /dev/disk/by-id/virtio-JOURNAL") == ""
    said = formatted(bench, "JOURNAL", "JOURNAL")
    assert "failed=0" in said, said
    assert "Journal UUID:" in bench.ssh("dumpe2fs -h /dev/disk/by-id/virtio-DATA 2>&1")
    assert bench.ssh("wipefs --noheadings --output TYPE /dev/disk/by-id/virtio-JOURNAL") == "jbd"
