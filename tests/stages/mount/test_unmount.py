"""What is left when a filesystem is unmounted: nothing."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import unmount
from vexlab.guest.testing.result import Result
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


@pytest.mark.needs("loadable")
def test_module_is_let_go(target: Target, scratch: Scratch) -> None:
    """One reference that stays makes the module impossible to unload; one too few crashes the kernel later."""
    before, during, after = scratch.call(unmount.use_counts, target.module_name)
    assert during > before, f"the module's use count is {during} under a mount, and was {before} before it"
    assert after == before, f"the module's use count is {after} after the unmount, and was {before} before the mount"


@pytest.mark.needs("device")
def test_device_is_let_go(scratch: Scratch) -> None:
    """The device can be opened exclusively again, which is what the next mkfs or mount does."""
    during, after = scratch.call(unmount.device_in_use)
    assert during == "EBUSY", f"open of the device with O_EXCL during a mount: {during}, expected EBUSY"
    assert after == "done", f"open of the device with O_EXCL after the unmount: {after}"


@pytest.mark.needs("device")
def test_loop_device_of_the_mount_is_freed(scratch: Scratch) -> None:
    """`mount -o loop` makes one; when the unmount doesn't drop the last reference, it stays for ever."""
    if scratch.on_device:
        pytest.skip("the scratch filesystem is on the device under test, not on a loop device")
    try:
        during, left = scratch.call(unmount.loop_devices)
        assert during == 1, f"`mount -o loop` made {during} loop devices, expected 1"
        assert not left, f"10 s after the unmount the image is still on {', '.join(left)}"
    finally:
        scratch.device = scratch.call(unmount.attach_again)


def test_mount_point_is_empty(scratch: Scratch) -> None:
    """What was mounted there doesn't shine through, and nothing is mounted underneath."""
    names, mounts = scratch.call(unmount.mount_point)
    assert not names, f"after the unmount these names are in the mount point: {', '.join(names)}"
    assert not mounts, f"after the unmount {len(mounts)} filesystems are still mounted there"


@pytest.mark.requires("read-write")
def test_refused_while_a_file_is_open(scratch: Scratch) -> None:
    """EBUSY, and the filesystem goes on working; after the file is closed it unmounts."""
    refused, wrote, unmounted = scratch.call(unmount.with_an_open_file)
    assert refused == "EBUSY", f"umount with a file open: {refused}, expected EBUSY"
    assert wrote == "done", f"umount was refused, and a write after it: {wrote}"
    assert unmounted == "done", f"umount after the file was closed: {unmounted}"


@pytest.mark.requires("read-write")
def test_file_without_a_name_is_freed(target: Target, scratch: Scratch) -> None:
    """A file that was removed while open is gone with its last user, and its room is there again after the unmount."""
    size, lost = scratch.call(unmount.files_without_a_name, seconds=60 + target.room_returns_seconds)
    assert "statfs" not in target.capabilities or lost < size // 2, (
        f"{size} bytes were in files without a name, and {lost} are still taken after a remount"
    )


@pytest.mark.needs("fsck")
@pytest.mark.requires("read-write")
def test_fsck_finds_it_right(scratch: Scratch) -> None:
    """What was made, cut and removed leaves counts and maps that agree; and to look at them changes nothing."""
    *ended, same = scratch.call(unmount.after_use)
    done = Result(scratch.fsck, *ended)
    assert done.code == 0, f"after use, vexlab_fsck_command ended with {done.code}: {done.said}"
    assert same, "vexlab_fsck_command was to look at the filesystem, and changed it"
