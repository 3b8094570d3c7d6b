"""What mkfs writes, on a scratch device."""

from __future__ import annotations

import shlex

import pytest
from guest import Guest, Lab
from scratch import Scratch

LABELS = ["it's $(id)", "übergröße"]


def test_magic_is_on_the_device(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """Through the block device, the way the kernel will read it."""
    length = len(lab.superblock_magic) // 2
    read = f"od -An -v -tx1 -j {lab.superblock_magic_offset} -N {length} {scratch.device}"
    assert "".join(guest.ok(read).split()) == lab.superblock_magic.lower()


def test_size_of_the_image_is_kept(guest: Guest, scratch: Scratch) -> None:
    """mkfs works inside the device."""
    assert guest.ok(f"stat -c %s {scratch.image}; blockdev --getsize64 {scratch.device}").split() == [
        str(scratch.size),
        str(scratch.size),
    ]


@pytest.mark.requires("label")
@pytest.mark.parametrize("label", LABELS)
def test_label_is_written_as_given(guest: Guest, lab: Lab, scratch: Scratch, label: str) -> None:
    """Blanks, bytes beyond ASCII and what a shell would expand are ordinary in labels."""
    scratch.create(label)
    wanted = label.encode() + b"\0"
    read = f"od -An -v -tx1 -j {lab.superblock_label_offset} -N {len(wanted)} {scratch.device}"
    assert bytes.fromhex(guest.ok(read)) == wanted


@pytest.mark.requires("label")
def test_label_that_is_too_long_does_no_harm(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """It is refused, or cut to what has room: in no case does it run into the fields behind it."""
    scratch.create_blank()
    done = guest.run(lab.mkfs(scratch.device, "x" * 1000))
    assert done.code < 124, f"mkfs ended with {done.code}: {done.said}"
    if done.code != 0:
        scratch.create()
    guest.ok(f"{scratch.mount_command()}; umount {scratch.point}")


def test_remains_of_another_filesystem_are_gone(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A superblock of ext4 that stays between ours would have the disk mounted as ext4 one day."""
    scratch.create_blank()
    guest.ok(f"mke2fs -q -F -t ext4 {scratch.device}")
    scratch.format_again()
    assert set(guest.ok(f"wipefs --noheadings --output TYPE {scratch.device}").split()) <= {lab.filesystem_type}


def test_noise_on_the_device_does_not_show(guest: Guest, scratch: Scratch) -> None:
    """A device is seldom blank; metadata that mkfs takes to be zero already would be garbage."""
    scratch.create_blank()
    guest.ok(f"head -c 8M /dev/urandom | dd of={scratch.device} bs=1M conv=fsync status=none")
    scratch.format_again()
    found = guest.ok(f"{scratch.mount_command('ro')}; ls -A {shlex.quote(scratch.point)}; umount {scratch.point}")
    assert set(found.split()) <= {"lost+found"}
