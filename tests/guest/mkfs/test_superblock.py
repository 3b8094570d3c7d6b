"""What mkfs writes, on a scratch device."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch

LABELS = ["it's $(id)", "übergröße"]


def test_magic_is_on_the_device(lab: Lab, scratch: Scratch) -> None:
    """Through the block device, the way the kernel will read it."""
    assert scratch.magic() == lab.superblock_magic.lower()


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


def test_remains_of_another_filesystem_are_gone(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A superblock of ext4 that stays between ours would have the disk mounted as ext4 one day."""
    scratch.create_blank()
    guest.ok(f"mke2fs -q -F -t ext4 {scratch.device}")
    scratch.format_again()
    assert set(guest.ok(f"wipefs --noheadings --output TYPE {scratch.device}").split()) <= {lab.filesystem_type}
