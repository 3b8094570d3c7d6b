"""What a copy of the device shows that is taken under the mount, which is what a power cut would leave."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import copies
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = [pytest.mark.needs("device"), pytest.mark.requires("read-write", "sync", "persistent")]


@pytest.fixture(scope="module")
def shown(target: Target, mounted: Scratch) -> dict[str, str]:
    """What each copy shows, of the cases that the target claims."""
    chosen = [name for name, case in copies.CASES.items() if set(case.capabilities) <= set(target.capabilities)]
    return mounted.call(copies.look, chosen, seconds=120)


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=pytest.mark.requires(*case.capabilities)) for name, case in copies.CASES.items()],
)
def test_synced_change_is_on_the_device(shown: dict[str, str], case: str) -> None:
    """What a sync was called for is on the device when it returns, and that is whole (fsync(2), msync(2), sync(2))."""
    wanted = copies.CASES[case].shows
    assert shown[case] == wanted, (
        f"{case}: a copy of the device should show {quoted(wanted)}, and shows {quoted(shown[case])}"
    )


@pytest.mark.requires("statfs", "crash-recovery")
def test_file_without_a_name_is_freed_after_a_power_cut(mounted: Scratch) -> None:
    """The mount after a power cut gives back room and inode of a file that was open without a name (unlink(2))."""
    room, inodes, room_after, inodes_after = mounted.call(copies.without_a_name)
    lost = room - room_after
    assert lost < 2 << 20, f"a file of 4 MiB was open without a name: in a mount of the copy, {lost} bytes are lost"
    assert inodes_after >= inodes, (
        f"a file was open without a name: {inodes} inodes were free, and {inodes_after} later"
    )


@pytest.mark.requires("sync-mounts")
@pytest.mark.parametrize(
    "option", ["sync", pytest.param("dirsync", marks=pytest.mark.requires("directories", "rename"))]
)
def test_synchronous_mount_needs_no_sync(mounted: Scratch, option: str) -> None:
    """What a call did is on the device when it returns (mount(2), MS_SYNCHRONOUS and MS_DIRSYNC)."""
    found = mounted.call(copies.mounted_with, option)
    wanted = {"sync": "a9000", "dirsync": "dirs dirs-new"}[option]
    assert found == wanted, (
        f"mounted with {option}: a copy of the device should show {quoted(wanted)}, and shows {quoted(found)}"
    )


def test_frozen_device_is_whole(mounted: Scratch) -> None:
    """A copy taken while it is frozen has all that was written before, without a sync (fsfreeze(8))."""
    came, found = mounted.call(copies.while_frozen)
    if came != "done":
        pytest.skip(f"this filesystem can't be frozen: {came}")
    assert found == "a9000", f"a copy of the frozen device should show 'a9000', and shows {quoted(found)}"
