"""mkfs, pointed at what it must not touch, seen from what is there: it lives on as it was."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import mkfs as inside_mkfs
from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.needs("device")


@pytest.fixture
def whole(corruptible: Corruptible) -> Corruptible:
    """The filesystem as it was made."""
    corruptible.trial("whole", mounts=[corruptible.target.mount_options_ro]).must_be_safe()
    return corruptible


@pytest.mark.requires("mkfs-refuses-mounted", "read-write")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(target: Target, whole: Corruptible, force: bool) -> None:
    """The filesystem that is mounted there goes on, and still is there after the next mount."""
    mkfs = target.mkfs(whole.device, force=force)
    done, kept = whole.call(inside_mkfs.under_a_mount, mkfs)
    target.mkfs_refused(mkfs, done)
    assert kept == "precious more", f"mkfs was refused under a mount, and two files read {quoted(kept)} after it"


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", ["own", "ext4"])
def test_device_with_a_signature(target: Target, whole: Corruptible, kind: str) -> None:
    """mkfs refuses it, not a byte changes, and what was there can be used."""
    mkfs = target.mkfs(whole.device)
    if kind == "own":
        there = ("", target.filesystem_type, target.mount_options())
    else:
        there = (f"mke2fs -q -F -t ext4 {whole.device}", "ext4", "ro")
    done, same, came = whole.call(inside_mkfs.over_a_filesystem, mkfs, *there)
    target.mkfs_refused(mkfs, done)
    assert same, "mkfs refused the device, but wrote to it"
    assert came == "done", f"what was there can't be mounted any more: {came}"


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_small_device(target: Target, corruptible: Corruptible, size: int) -> None:
    """Refused, with the few bytes as they were."""
    mkfs = target.in_build(target.mkfs_command, {"LABEL": "vexlab"})
    done, same = corruptible.call(inside_mkfs.on_a_small_device, mkfs, size)
    target.mkfs_refused(mkfs, done)
    assert same, "mkfs refused the device, but wrote to it"


def test_directory(guest: Guest, target: Target, whole: Corruptible) -> None:
    """mkfs refuses a directory, such as the mount point when the two are mixed up."""
    mkfs = target.mkfs(whole.point, second_of=whole.device)
    done, same = whole.call(inside_mkfs.on_the_mount_point, mkfs)
    target.mkfs_refused(mkfs, done)
    assert same, "the directory is not what it was"
