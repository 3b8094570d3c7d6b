"""Mounts that are out of the ordinary."""

from __future__ import annotations

from pathlib import Path

import pytest

from vexlab.guest.inside import odd_mounts
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write")


def test_detached_mount_lives_until_its_last_file(target: Target, scratch: Scratch) -> None:
    """Who has a file open goes on with it, then the device is free and has it all (umount2(2), MNT_DETACH)."""
    promised = {"what is mounted": "0", "a write to the open file": "done"}
    if "persistent" in target.capabilities:
        promised["the file, in the next mount"] = "on"
    wrong = broken(scratch.call(odd_mounts.detached), promised)
    assert not wrong, f"umount2(2) with MNT_DETACH while a file is open: {wrong}"


@pytest.mark.requires("directories")
def test_bound_directory_keeps_the_filesystem(scratch: Scratch) -> None:
    """A bind mount is the filesystem, when the first mount is gone too (mount(2), MS_BIND)."""
    _, found, wrote = scratch.call(odd_mounts.bound)
    assert found == "bound", (
        f"a file below a bind mount, when the first mount is gone, holds {quoted(found)}, and not 'bound'"
    )
    assert wrote == "done", f"a write below a bind mount, when the first mount is gone: expected done, came {wrote}"


@pytest.mark.needs("device")
@pytest.mark.requires("persistent")
def test_two_at_once_are_two(target: Target, scratch: Scratch) -> None:
    """Each has its own files, also when the other is unmounted, and on its own device (mount(2))."""
    mkfs = target.in_build(target.mkfs_command, {"LABEL": "vexlab"})
    when = ["first, both mounted", "second, both mounted", "second, first unmounted", "first again", "second again"]
    seen = dict(zip(when, scratch.call(odd_mounts.two_at_once, mkfs), strict=True))
    wrong = broken(seen, dict.fromkeys(when, "right"))
    assert not wrong, f"two devices with files of their own: {wrong}"


@pytest.mark.needs("device")
@pytest.mark.requires("persistent")
@pytest.mark.parametrize(("more", "sector"), [(1536, 512), (0, 4096)], ids=["three sectors more", "sectors of 4096"])
def test_device_of_another_kind(target: Target, scratch: Scratch, more: int, sector: int) -> None:
    """A device is used as far as it goes, or refused: no block lies behind its end (mkfs(8), mount(2))."""
    mkfs = target.in_build(target.mkfs_command, {"LABEL": "vexlab"})
    came, detail = scratch.call(odd_mounts.on_another_device, mkfs, scratch.size + more, sector)
    what = f"a device of {scratch.size + more} bytes in sectors of {sector}"
    if came in ("refused", "mount"):
        pytest.skip(f"{what}: {came}, {Path(detail).name if '/' in detail else detail}")
    assert came == "works", f"{what}: what was written to a file {came} in the next mount"
    assert detail == "fits", f"{what}: statfs tells of {detail}"
