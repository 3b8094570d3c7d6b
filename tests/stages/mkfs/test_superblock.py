"""What mkfs writes, on a scratch device."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import mkfs
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

LABELS = ["it's $(id)", "größere"]  # with room for a zero byte where a label has 12 bytes, as in XFS


def test_magic_is_on_the_device(target: Target, scratch: Scratch) -> None:
    """The magic number is read through the block device, as the kernel reads it at a mount."""
    found, wanted = scratch.magic(), target.superblock_magic.lower()
    assert found == wanted, f"at byte {target.superblock_magic_offset} is {found}, the target's magic is {wanted}"


def test_size_of_the_image_is_kept(scratch: Scratch) -> None:
    """mkfs works inside the device: an image is as long as before."""
    image, device = scratch.call(mkfs.sizes)
    assert image == scratch.size, f"after mkfs the image has {image} bytes, it was made with {scratch.size}"
    assert device == scratch.size, f"after mkfs the device has {device} bytes, it was made with {scratch.size}"


@pytest.mark.requires("label")
@pytest.mark.parametrize("label", LABELS)
def test_label_is_written_as_given(target: Target, scratch: Scratch, label: str) -> None:
    """Blanks, bytes beyond ASCII and what a shell would expand are ordinary in labels."""
    scratch.create(label)
    wanted = label.encode() + b"\0"
    found = scratch.call(Filesystem.bytes_at, target.superblock_label_offset, len(wanted))
    assert found == wanted.hex(), (
        f"at byte {target.superblock_label_offset} is {found}, the label {label} is {wanted.hex()}"
    )


def test_remains_of_another_filesystem_are_gone(guest: Guest, scratch: Scratch) -> None:
    """A superblock of ext4 that stays between ours would have the disk mounted as ext4 one day."""
    scratch.create()
    own = scratch.signatures()  # on what was blank, whatever blkid sees is its name for this format
    scratch.create_blank()
    guest.ok(f"mke2fs -q -F -t ext4 {scratch.device}")
    scratch.format_again()
    left = scratch.signatures() - own
    assert not left, f"after mkfs over ext4, blkid still sees {', '.join(sorted(left))}"
