"""The image that the lab's own filesystem is on, as the role left it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from vexlab.guest.inside import images, lab_mount, mkfs, system
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import not_the_format, signatures
from vexlab.guest.testing.target import Target


def only_of_an_image(target: Target) -> None:
    """Skip what a device doesn't have."""
    if target.device:
        pytest.skip("the lab's filesystem is on a device, not on an image")


def test_size_is_what_the_lab_asked_for(guest: Guest, target: Target) -> None:
    """A mkfs that takes the image for a file can lengthen or cut it."""
    only_of_an_image(target)
    size, wanted = guest.call(mkfs.size_of_file, target.device_image), target.device_size_mb << 20
    assert size == wanted, f"after mkfs the image has {size} bytes, it was made with {wanted}"


def test_magic_is_on_disk(guest: Guest, target: Target) -> None:
    """What mkfs wrote is this filesystem, and not merely a mkfs that returned 0."""
    wanted = target.superblock_magic.lower()
    found = guest.call(images.bytes_at, target.device_image, target.superblock_magic_offset, len(wanted) // 2)
    assert found == wanted, (
        f"at byte {target.superblock_magic_offset} of the image is {found}, the target's magic is {wanted}"
    )


@pytest.mark.requires("label")
def test_label_is_on_disk(guest: Guest, target: Target) -> None:
    """People tell disks apart by the label; a byte more than it would be somebody else's memory."""
    found = guest.call(images.bytes_at, target.device_image, target.superblock_label_offset, 7)
    wanted = b"vexlab\0".hex()
    assert found == wanted, (
        f"at byte {target.superblock_label_offset} is {found}, the label vexlab and its NUL are {wanted}"
    )


def test_no_other_filesystem_is_seen(guest: Guest, target: Target, advise: Callable[[str], None]) -> None:
    """What blkid takes for another filesystem is mounted as that one by anybody who doesn't name the type."""
    wrong, worth_knowing = not_the_format(target, signatures(guest, target, target.device_image))
    assert not wrong, wrong
    if worth_knowing:
        advise(worth_knowing)


def test_image_is_stamped(guest: Guest, target: Target) -> None:
    """The stamp says what the image was made from; without it the role would format again at each run."""
    only_of_an_image(target)
    stamp = json.loads(guest.call(system.read, f"{target.device_image}.json"))["stamp"]
    assert len(stamp) == 64, f"the image's stamp has {len(stamp)} characters, expected the 64 of a sha256"


def test_no_loop_device_was_left(guest: Guest, target: Target) -> None:
    """The role's own loop device goes when mkfs is done; what holds the image now is a mount or nothing."""
    only_of_an_image(target)
    guest.ok("udevadm settle")
    left = guest.call(lab_mount.loops_that_are_not_mounted, target.device_image)
    assert not left, f"the image is on loop devices that are not mounted: {', '.join(left)}"
