"""Devices that hold something else, or only a part of the filesystem: any disk can be plugged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from vexlab.guest.inside import foreign
from vexlab.guest.testing.corruptible import Corruptible

pytestmark = pytest.mark.needs("device")

BLANK = "blkdiscard --zeroout $DEVICE"  # first, since a copy of the superblock may be at the end of the device
WRITE = "dd of=$DEVICE bs=64k conv=notrunc,fsync iflag=fullblock status=none"
FOREIGN = {
    "zeros": BLANK,
    "ones": f"{BLANK}; head -c 1M /dev/zero | tr '\\0' '\\377' | {WRITE}",
    "noise": f"{BLANK}; head -c 1M /dev/urandom | {WRITE}",
    "ext4": f"{BLANK}; mke2fs -q -F -t ext4 $DEVICE",
    "swap": f"{BLANK}; mkswap $DEVICE >/dev/null",
}
# What of the filesystem is left could still be mounted by one that keeps copies of what is gone.
DAMAGED = {
    "zeros in the first block": "dd if=/dev/zero of=$DEVICE bs=4k count=1 conv=notrunc,fsync status=none",
    "noise behind the first block": f"head -c $(({{blocks}} * 4096)) /dev/urandom | {WRITE} bs=4k seek=1",
    "zeros behind the first block": (
        "dd if=/dev/zero of=$DEVICE bs=4k seek=1 count={blocks} conv=notrunc,fsync status=none"
    ),
}
SIZES = {"no byte": 0, "one sector": 512, "one block": 4096, "64 KiB": 65536}


@pytest.fixture
def cut(corruptible: Corruptible) -> Iterator[Callable[[int], str]]:
    """Makes a device of so many bytes that holds as much of the filesystem."""
    path = f"{corruptible.image}.cut"
    yield lambda size: corruptible.guest.call(foreign.cut, corruptible.master, path, size)
    corruptible.guest.call(foreign.remove, path)


@pytest.mark.parametrize(
    "content",
    [pytest.param(name, marks=[pytest.mark.needs("other-than-ext4")] * (name == "ext4")) for name in FOREIGN],
)
def test_something_else(corruptible: Corruptible, content: str) -> None:
    """An errno, no oops, nothing written, and no use of the module kept."""
    corruptible.trial(content, commands=[FOREIGN[content]], compare=True).must_be_refused()


@pytest.mark.parametrize("content", DAMAGED)
def test_part_of_the_filesystem_is_overwritten(corruptible: Corruptible, content: str) -> None:
    """Refused, or mounted and safe to use: whatever the superblock promises, none of it is there."""
    blocks = min(1024, corruptible.size // 4096 - 1)
    corruptible.trial(content, commands=[DAMAGED[content].format(blocks=blocks)]).must_be_safe()


def test_filesystem_that_starts_a_sector_late(corruptible: Corruptible) -> None:
    """A filesystem that starts a sector late, as after a wrong partition table, is refused."""
    blocks = f"bs=64k count={min(128, corruptible.size // 65536 - 1)} seek=512 oflag=seek_bytes"
    shift = f"dd if={corruptible.master} of=$DEVICE {blocks} conv=notrunc,fsync status=none"
    corruptible.trial("shifted", commands=[BLANK, shift]).must_be_refused()


@pytest.mark.parametrize("length", SIZES)
def test_device_that_is_tiny(corruptible: Corruptible, cut: Callable[[int], str], length: str) -> None:
    """A device that holds no superblock is refused; one that holds nothing else does no harm."""
    outcome = corruptible.trial(f"device of {length}", device=cut(SIZES[length]))
    target = corruptible.target
    there = target.superblock_magic_offset + len(target.superblock_magic) // 2 <= SIZES[length]
    if "device-size-checked" in target.capabilities or not there:
        outcome.must_be_refused()
    outcome.must_be_safe()


@pytest.mark.parametrize("missing", ["one sector", "one half"])
def test_device_that_is_shorter_than_the_filesystem(
    corruptible: Corruptible, cut: Callable[[int], str], missing: str
) -> None:
    """A partition that was cut, an image that was copied in part: space that isn't there must not be given out."""
    size = corruptible.size - 512 if missing == "one sector" else corruptible.size // 2
    outcome = corruptible.trial(f"{missing} missing", device=cut(size))
    if "device-size-checked" in corruptible.target.capabilities:
        outcome.must_be_refused()
    outcome.must_be_safe()


def test_device_that_ends_while_it_is_mounted(corruptible: Corruptible, cut: Callable[[int], str]) -> None:
    """The second half goes away under the mount. Errors are right, and so is an unmount that succeeds."""
    device = cut(corruptible.size)
    corruptible.call(foreign.shrink_under_a_mount, f"{corruptible.image}.cut", device, corruptible.size // 2)
