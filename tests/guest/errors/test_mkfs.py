"""mkfs, pointed at what it must not touch, seen from the filesystem that is there: it lives on as it was."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from reload import module_reloads
from victim import Victim


@pytest.fixture
def whole(victim: Victim) -> Victim:
    """The filesystem as it was made."""
    victim.trial("whole")
    return victim


@pytest.mark.requires("mkfs-refuses-mounted", "read-write")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(guest: Guest, lab: Lab, whole: Victim, force: bool) -> None:
    """The filesystem that is mounted there goes on, and still is there after the next mount."""
    whole.mount()
    try:
        guest.ok(f"echo precious >{whole.point}/precious")
        guest.refuses(lab.mkfs(whole.device, force=force))
        guest.ok(f"echo more >{whole.point}/more")
        whole.remount()
        assert guest.ok(f"cat {whole.point}/precious {whole.point}/more") == "precious\nmore"
    finally:
        whole.unmount()


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", ["own", "ext4"])
def test_device_with_a_signature(guest: Guest, whole: Victim, kind: str) -> None:
    """Not a byte changes, and what was there can be used."""
    if kind == "ext4":
        guest.ok(f"mke2fs -q -F -t ext4 {whole.device}")
    whole.mkfs_is_refused()
    mount = f"mount -t ext4 {whole.device} {whole.point}" if kind == "ext4" else whole.mount_command()
    guest.ok(f"{mount}; umount {whole.point}")


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_small_device(guest: Guest, lab: Lab, whole: Victim, size: int) -> None:
    """Refused, with the few bytes as they were."""
    image = f"{whole.image}.small"
    device = guest.ok(f"head -c {size} /dev/zero | tr '\\0' x >{image}; losetup --find --show {image}")
    try:
        guest.refuses(lab.mkfs(device))
        assert guest.ok(f"sync {image}; tr -d x <{device} | wc -c") == "0", "mkfs refused the device, but wrote to it"
    finally:
        guest.ok(f"losetup -d {device}; rm {image}")


def test_directory(guest: Guest, lab: Lab, whole: Victim) -> None:
    """Such as the mount point, when the two are mixed up."""
    whole.mount()
    try:
        before = guest.ok(f"ls -lA {whole.point}")
        guest.refuses(lab.mkfs(whole.point))
        assert guest.ok(f"ls -lA {whole.point}") == before
    finally:
        whole.unmount()


def test_module_is_sound_afterwards(guest: Guest, lab: Lab, victim: Victim, lab_taken_down: None) -> None:
    """After all this it unloads, loads and mounts what is whole."""
    module_reloads(guest, lab)
    victim.is_whole()
