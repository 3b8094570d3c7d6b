"""Commands around mounts, and options that only the guest knows, in a real guest: by the role and by the checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough

SAID = "/run/said"


def test_each_mount_has_them(vexlab: Vexlab) -> None:
    """tmpfs gets a size that the target file doesn't say, and each unmount has a mount before it."""
    target = yaml.safe_load((ROOT / "examples/targets/controls/tmpfs.yml").read_text())
    target |= {
        "vexlab_mount_options_rw": "rw,mode=755",
        "vexlab_mount_options_command": "echo size=$((32 * 1024))k",
        "vexlab_before_mount_command": f'echo "before $DEVICE $MOUNT" >>{SAID}',
        "vexlab_after_unmount_command": f'echo "after $DEVICE $MOUNT" >>{SAID}',
    }
    path = Path(vexlab.home) / "tmpfs.yml"
    path.write_text(yaml.safe_dump(target))
    done = vexlab("up", "--target", str(path), "--json")
    assert done.code == 0, done.stderr
    shown = vexlab("ssh", "findmnt -n -o OPTIONS --mountpoint /mnt/vexlab").stdout
    assert "size=32768k" in shown.split(",")
    said = vexlab("ssh", f"cat {SAID}").stdout.splitlines()
    assert said[:3] == ["before tmpfs /mnt/vexlab", "after tmpfs /mnt/vexlab", "before tmpfs /mnt/vexlab"]
    scratch = [line for line in said if "/var/lib/vexlab/scratch" in line]
    assert scratch.count("before tmpfs /var/lib/vexlab/scratch") >= 10
    assert scratch.count("after tmpfs /var/lib/vexlab/scratch") >= 10
