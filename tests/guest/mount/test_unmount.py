"""What is left when a filesystem is unmounted: nothing."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch


def references(guest: Guest, lab: Lab) -> int:
    """How many uses the kernel counts of the module."""
    return int(guest.ok(f"cat /sys/module/{lab.module_name}/refcnt"))


def test_module_is_let_go(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """One reference that stays makes the module impossible to unload; one too few crashes the kernel later."""
    before = references(guest, lab)
    scratch.mount()
    during = references(guest, lab)
    scratch.unmount()
    assert (during > before, references(guest, lab)) == (True, before)


def test_device_is_let_go(guest: Guest, scratch: Scratch) -> None:
    """It can be opened exclusively again, which is what the next mkfs or mount does."""
    opened = {"open": f"os.open('{scratch.device}', os.O_RDWR | os.O_EXCL)"}
    scratch.mount()
    during = guest.attempts("/", opened)
    scratch.unmount()
    assert during | {"after": guest.attempts("/", opened)["open"]} == {"open": "EBUSY", "after": "done"}


def test_loop_device_of_the_mount_is_freed(guest: Guest, scratch: Scratch) -> None:
    """`mount -o loop` makes one; when the unmount doesn't drop the last reference, it stays for ever."""
    guest.ok(f"losetup -d {scratch.device}")
    try:
        guest.ok(scratch.mount_command(f"loop,{scratch.lab.mount_options()}").replace(scratch.device, scratch.image))
        scratch.unmount()
        assert guest.ok(f"udevadm settle; losetup -j {scratch.image}") == ""
    finally:
        scratch.device = guest.ok(f"losetup --find --show {scratch.image}")


def test_mount_point_is_empty(guest: Guest, scratch: Scratch) -> None:
    """What was mounted there doesn't shine through, and nothing is mounted underneath."""
    scratch.mount()
    scratch.unmount()
    assert guest.ok(f"ls -A {scratch.point}; findmnt -n --mountpoint {scratch.point} || true") == ""


@pytest.mark.requires("read-write")
def test_refused_while_a_file_is_open(guest: Guest, scratch: Scratch) -> None:
    """EBUSY, and the filesystem goes on working; after the file is closed it unmounts."""
    scratch.mount()
    guest.refuses(f"exec 5>{scratch.point}/open; umount {scratch.point}", because="busy")
    guest.ok(f"echo on >{scratch.point}/open; umount {scratch.point}")


@pytest.mark.requires("read-write")
def test_file_without_a_name_is_freed(guest: Guest, scratch: Scratch) -> None:
    """A file that was removed while open is gone with its last user, and its room is there again after the unmount."""
    free = f"sync -f {scratch.point}; stat -f -c %f {scratch.point}"
    scratch.mount()
    before = int(guest.ok(free))
    guest.ok(f"cd {scratch.point}; exec 5>gone; rm gone; head -c 8M /dev/zero >&5; sync -f .")
    scratch.remount()
    size = int(guest.ok(f"stat -f -c %S {scratch.point}"))
    lost = (before - int(guest.ok(free))) * size
    scratch.unmount()
    assert lost < 4 << 20, f"{lost} bytes are still taken"
