"""Devices that hold something else, or only a part of the filesystem: any disk can be plugged in."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from reload import module_reloads
from victim import Victim

WRITE = "dd of=$DEVICE bs=64k conv=notrunc,fsync iflag=fullblock status=none"
FOREIGN = {
    "zeros": "blkdiscard --zeroout $DEVICE",
    "ones": f"head -c 1M /dev/zero | tr '\\0' '\\377' | {WRITE}",
    "noise": f"head -c 1M /dev/urandom | {WRITE}",
    "ext4": "mke2fs -q -F -t ext4 $DEVICE",
    "swap": "blkdiscard --zeroout $DEVICE; mkswap $DEVICE >/dev/null",
}
# What of the filesystem is left could still be mounted by one that keeps copies of what is gone.
DAMAGED = {
    "zeros in the first block": "dd if=/dev/zero of=$DEVICE bs=4k count=1 conv=notrunc,fsync status=none",
    "noise behind the first block": f"head -c 4M /dev/urandom | {WRITE} bs=4k seek=1",
    "zeros behind the first block": "dd if=/dev/zero of=$DEVICE bs=4k seek=1 count=1k conv=notrunc,fsync status=none",
}
SIZES = {"no byte": 0, "one sector": 512, "one block": 4096, "64 KiB": 65536}


@pytest.fixture
def cut(guest: Guest, victim: Victim) -> Iterator[str]:
    """Path of an image that holds the filesystem, to be cut and put on a loop device of its own."""
    path = f"{victim.image}.cut"
    guest.ok(f"cp --sparse=always {victim.master} {path}")
    yield path
    guest.ok(f"losetup -j {path} | cut -d: -f1 | xargs -r -n1 losetup -d; rm {path}")


@pytest.mark.parametrize("content", FOREIGN)
def test_something_else(victim: Victim, content: str) -> None:
    """An errno, no oops, nothing written, and no use of the module kept."""
    outcome = victim.trial(content, commands=[FOREIGN[content]])
    before = victim.digest()
    again = victim.trial(f"{content} again", device=victim.device)
    for tried in (outcome, again):
        tried.must_be_refused()
    assert victim.digest() == before, "the mount was refused, but something was written"


@pytest.mark.parametrize("content", DAMAGED)
def test_part_of_the_filesystem_is_overwritten(victim: Victim, content: str) -> None:
    """Refused, or mounted and safe to use: whatever the superblock promises, none of it is there."""
    victim.trial(content, commands=[DAMAGED[content]]).must_be_safe()


def test_filesystem_that_starts_a_sector_late(victim: Victim) -> None:
    """As on a disk whose partition table was written anew, with another alignment."""
    shift = f"dd if={victim.master} of=$DEVICE bs=512 seek=1 count=16k conv=notrunc,fsync status=none"
    victim.trial("shifted", commands=[shift]).must_be_refused()


@pytest.mark.parametrize("length", SIZES)
def test_device_that_is_tiny(guest: Guest, victim: Victim, cut: str, length: str) -> None:
    """The superblock isn't there to be read, or it is and nothing else."""
    device = guest.ok(f"truncate -s {SIZES[length]} {cut}; losetup --find --show {cut}")
    victim.trial(f"device of {length}", device=device).must_be_refused()


@pytest.mark.parametrize("missing", ["one sector", "one half"])
def test_device_that_is_shorter_than_the_filesystem(
    guest: Guest, lab: Lab, victim: Victim, cut: str, missing: str
) -> None:
    """A partition that was cut, an image that was copied in part: space that isn't there must not be given out."""
    size = victim.size - 512 if missing == "one sector" else victim.size // 2
    device = guest.ok(f"truncate -s {size} {cut}; losetup --find --show {cut}")
    victim.trial(f"{missing} missing", device=device).must_be_refused()


def test_device_that_ends_while_it_is_mounted(guest: Guest, lab: Lab, victim: Victim, cut: str) -> None:
    """The second half goes away under the mount. Errors are right, and so is an unmount that succeeds."""
    device = guest.ok(f"losetup --find --show {cut}")
    kind, options = shlex.quote(lab.filesystem_type), shlex.quote(lab.mount_options())
    guest.ok(f"mount -t {kind} -o {options} {device} {victim.point}")
    shrink = f"truncate -s {victim.size // 2} {cut}; losetup --set-capacity {device}"
    use = f"(ls -lR {victim.point}; head -c 1M /dev/zero >{victim.point}/new; sync -f {victim.point}) >/dev/null 2>&1"
    guest.ok(f"{shrink}; {use} || true; umount {victim.point}")


def test_module_is_sound_afterwards(guest: Guest, lab: Lab, victim: Victim, lab_taken_down: None) -> None:
    """After all this it unloads, loads and mounts what is whole."""
    module_reloads(guest, lab)
    victim.is_whole()
