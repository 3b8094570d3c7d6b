"""Module recover on real mounts and loop devices, in a mount namespace of the test's own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vexfs.vexlab.plugins.modules import recover

from tests.unit import modules

# What is the lab's: at its point, in its work directory, elsewhere; and what isn't, of the same type.
SETUP = r"""
set -eu
cd "$1"
mkdir -p work/scratch point elsewhere foreign memory
for image in work/point work/scratch.d work/elsewhere foreign.d; do
    truncate -s 2M "$image.img"
    mkfs.ext4 -q -F "$image.img"
done
mount -o loop work/point.img point
mount -o loop work/scratch.d.img work/scratch
mount -o loop work/elsewhere.img elsewhere
mount -o loop foreign.d.img foreign
mount -t tmpfs none memory
"""


def usable() -> str:
    """Why loop devices can't be mounted here; empty if they can."""
    if os.geteuid() != 0:
        return "only root mounts"
    if not shutil.which("mkfs.ext4") or not shutil.which("unshare"):
        return "mkfs.ext4 or unshare is missing"
    probe = "f=$(mktemp); truncate -s 1M $f; d=$(losetup -f --show $f); losetup -d $d; rm $f"
    done = subprocess.run(["unshare", "--mount", "sh", "-euc", probe], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


REASON = usable()
needs_loops = pytest.mark.skipif(bool(REASON), reason=f"no loop devices: {REASON}")


@dataclass(frozen=True)
class Recovered:
    """The module's answer, the mount points that are left, and what is attached to loop devices."""

    answer: dict[str, Any]
    mounts: list[str]
    files: str


def recovered(directory: Path, between: str = "", *, check: bool = False, **other: Any) -> Recovered:
    """Set up in a namespace of its own, run the module there, and look."""
    inputs = {
        "type": "ext4", "module": "vexlab_no_such_module", "point": f"{directory}/point", "work": f"{directory}/work",
        "evidence": f"{directory}/work/recover.txt",
    }  # fmt: skip
    (directory / "arguments").write_text(modules.arguments(inputs | other, check=check))
    look = 'cut -d " " -f 5 /proc/self/mountinfo >"$1/mounts"; losetup --list --output BACK-FILE >"$1/files"'
    run = f'{shlex.join(modules.command("recover"))} <"$1/arguments" >"$1/answer"\n{look}'
    subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", f"{SETUP}\n{between}\n{run}", "sh", directory],
        check=True, timeout=120,
    )  # fmt: skip
    answer = json.loads((directory / "answer").read_text())
    return Recovered(answer, (directory / "mounts").read_text().split(), (directory / "files").read_text())


@needs_loops
@pytest.mark.parametrize("lazy", [False, True])
def test_only_what_is_the_labs_is_taken_down(lazy: bool, tmp_path: Path) -> None:
    """A foreign mount of the same type stays, as do its loop device, and whatever else is mounted."""
    done = recovered(tmp_path, lazy=lazy)
    assert done.answer["left"] == []
    own = {str(tmp_path / name) for name in ("point", "work/scratch", "elsewhere")}
    assert {line.removeprefix("unmounted ") for line in done.answer["did"] if "unmounted" in line} == own
    assert not own & set(done.mounts)
    assert {str(tmp_path / "foreign"), str(tmp_path / "memory"), "/"} <= set(done.mounts)
    assert (f"{tmp_path}/work" in done.files, str(tmp_path / "foreign.d.img") in done.files) == (False, True)


@needs_loops
@pytest.mark.parametrize("lazy", [False, True])
def test_type_of_the_root_filesystem_is_no_reason_to_touch_it(lazy: bool, tmp_path: Path) -> None:
    kind = next(mount.kind for mount in recover.all_mounts() if mount.point == "/")
    done = recovered(tmp_path, 'umount point work/scratch elsewhere; cut -d " " -f 5 /proc/self/mountinfo >before',
                     lazy=lazy, type=kind)  # fmt: skip
    assert (done.answer["did"], done.answer["changed"]) == ([], False)
    assert done.mounts == (tmp_path / "before").read_text().split()


@needs_loops
def test_check_mode_tells_what_would_go_and_leaves_it(tmp_path: Path) -> None:
    done = recovered(tmp_path, check=True)
    own = {str(tmp_path / name) for name in ("point", "work/scratch", "elsewhere")}
    told = [line for line in done.answer["did"] if line.startswith("losetup --detach /dev/loop")]
    assert {f"unmounted {point}" for point in own} == set(done.answer["did"]) - set(told)
    assert (len(told), done.answer["changed"], done.answer["left"]) == (3, True, [])
    assert own <= set(done.mounts)
    assert not (tmp_path / "work" / "recover.txt").exists()


@needs_loops
def test_mount_of_another_type_at_the_point_is_not_ours(tmp_path: Path) -> None:
    done = recovered(tmp_path, 'umount point; mount -t tmpfs none "$1/point"')
    assert str(tmp_path / "point") in done.mounts
    assert (done.answer["left"], f"unmounted {tmp_path}/point" in done.answer["did"]) == ([], False)


@needs_loops
def test_named_device_is_unmounted_wherever_it_is(tmp_path: Path) -> None:
    """And it alone: the one beside it stays."""
    between = 'umount point work/scratch elsewhere; ln -s "$(findmnt -no SOURCE foreign)" device'
    done = recovered(tmp_path, between, device=str(tmp_path / "device"))
    assert done.answer["did"] == [f"unmounted {tmp_path}/foreign"]


@needs_loops
def test_busy_mount_is_left_and_does_not_hinder_the_others(tmp_path: Path) -> None:
    done = recovered(tmp_path, 'exec 8>"$1/elsewhere/held"')
    (left,) = [line for line in done.answer["left"] if "elsewhere is" in line]
    assert "busy" in left
    assert f"{tmp_path}/point" not in done.mounts


@needs_loops
def test_full_disk_hinders_nothing(tmp_path: Path) -> None:
    """The work directory is on one: all is taken down, and the evidence is in memory."""
    spare = Path(recover.SPARE)
    if spare.exists():
        pytest.skip(f"{spare} is somebody's")
    full = """umount work/scratch; mkdir small; mount -t tmpfs -o size=8M none small
        mkdir small/work; umount point elsewhere
        mv work/point.img small/work/; rm -r work; ln -s small/work work
        mount -o loop "$1/small/work/point.img" point
        cat /dev/zero >small/zero 2>/dev/null || [ "$(stat -f -c %a small)" = 0 ]"""
    try:
        done = recovered(tmp_path, full, evidence=f"{tmp_path}/small/work/recover.txt")
        assert done.answer["evidence"] == recover.SPARE
        assert f"unmounted {tmp_path}/point" in done.answer["did"]
        assert "=== afterwards ===" in spare.read_text()
    finally:
        spare.unlink(missing_ok=True)


def test_evidence_that_can_not_be_had_is_told_in_its_place() -> None:
    def broken() -> str:
        raise OSError(5, "Input/output error")

    assert recover.tried("stacks", broken) == "--- stacks\ncould not be read: [Errno 5] Input/output error"
    assert recover.write("x", ["/proc/nowhere/recover.txt", "/proc/recover.txt"]) == ""
