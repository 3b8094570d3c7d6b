"""A lab that is up, and a target file that says something else by now: what is there is taken down, and made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough


def target(directory: Path, **fields: Any) -> str:
    """Write the bundled target with these fields; returns the file's path."""
    bundled = yaml.safe_load((ROOT / "examples/targets/vexfs.yml").read_text())
    own = {f"vexlab_{name}": value for name, value in fields.items()}
    file = directory / "vexlab.yml"
    file.write_text(yaml.safe_dump(bundled | {"vexlab_source": str(ROOT / "examples/vexfs")} | own))
    return str(file)


def test_another_size_and_other_mount_options_are_applied(vexlab: Vexlab) -> None:
    first = vexlab("up", "--target", target(vexlab.home), "--json")
    assert first.code == 0, first.stderr
    guest = (vexlab.labs / "default" / "guest.json").read_text()
    changes = {"device_size_mb": 96, "mount_options_rw": "rw,noatime"}
    second = vexlab("up", "--target", target(vexlab.home, **changes), "--json")
    assert second.code == 0, second.stderr
    assert "vexlab_device_size_mb, vexlab_mount_options_rw: not as it was" in second.stderr
    assert (vexlab.labs / "default" / "guest.json").read_text() == guest
    mounts = vexlab("ssh", "findmnt -rn -t vexfs -o TARGET,OPTIONS; stat -c %s /var/lib/vexlab/device.img").stdout
    assert mounts.startswith("/mnt/vexlab rw,noatime")
    assert mounts.splitlines()[1:] == [str(96 << 20)]


def test_what_is_in_use_is_told(vexlab: Vexlab) -> None:
    busy = "cd /mnt/vexlab && (setsid sleep 600 >/dev/null 2>&1 </dev/null &)"
    assert vexlab("ssh", busy).code == 0
    refused = vexlab("up", "--target", target(vexlab.home, device_size_mb=32))
    assert refused.code == 4
    assert "could not be taken down" in refused.stderr
    assert "busy" in refused.stderr
    assert "vexlab down" in refused.stderr
    assert "/mnt/vexlab" in vexlab("ssh", "findmnt -rn -t vexfs -o TARGET").stdout
