"""What must not be mounted, and what of it must not happen twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch


@pytest.fixture
def blank(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, which the target's mkfs never sees."""
    resource = Scratch(guest, lab, "blank")
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.mark.parametrize(
    "content",
    ["true", "mke2fs -q -F -t ext4 {0}", "head -c 1M /dev/urandom | dd of={0} conv=fsync status=none"],
    ids=["zeros", "another filesystem", "noise"],
)
def test_what_is_not_the_filesystem(guest: Guest, lab: Lab, blank: Scratch, content: str) -> None:
    """An error, no oops, nothing written, and no reference kept: a disk of any content can be plugged in."""
    uses = f"cat /sys/module/{lab.module_name}/refcnt"
    count = guest.ok(f"{content.format(blank.device)}; {uses}")
    before = blank.digest()
    guest.refuses(blank.mount_command(lab.mount_options_ro))
    guest.refuses(blank.mount_command())
    assert (guest.ok(uses), blank.digest()) == (count, before)


def test_device_of_one_sector(guest: Guest, blank: Scratch) -> None:
    """The superblock isn't there to be read, or the half of it."""
    blank.create_blank(512)
    guest.refuses(blank.mount_command("ro"))


def test_missing_device(guest: Guest, scratch: Scratch) -> None:
    """Said by the kernel, not guessed from an empty mount."""
    guest.refuses(scratch.mount_command().replace(scratch.device, f"{scratch.device}-missing"))


def test_option_that_nobody_knows(guest: Guest, scratch: Scratch) -> None:
    """A typing error in an option must not mount with the option left out."""
    guest.refuses(scratch.mount_command(f"{scratch.lab.mount_options()},vexlab-no-such-option"))
    assert guest.ok(f"findmnt -n --mountpoint {scratch.point} || true") == ""


def test_mount_on_a_file(guest: Guest, scratch: Scratch) -> None:
    """A mount point is a directory."""
    guest.refuses(scratch.mount_command(point="/etc/hostname"))


@pytest.mark.requires("read-write")
def test_second_mount_shows_the_same(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """A device that is mounted twice is one filesystem with one cache, or the second mount is refused."""
    second = f"{lab.work_directory}/second"
    scratch.mount()
    try:
        done = guest.run(f"mkdir {second}; {scratch.mount_command(point=second)}")
        assert done.code in (0, 32), done.said
        if done.code == 0:
            guest.ok(f"echo seen >{scratch.point}/file; [ $(cat {second}/file) = seen ]; umount {second}")
        guest.ok(f"echo on >{scratch.point}/other")
    finally:
        guest.ok(f"if mountpoint -q {second}; then umount {second}; fi; rmdir {second}; umount {scratch.point}")
