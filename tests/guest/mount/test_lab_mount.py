"""The lab's own mount, as the role left it. Nothing is written to it here."""

from __future__ import annotations

import shlex

from guest import Guest, Lab


def mount_of(guest: Guest, lab: Lab, columns: str) -> list[list[str]]:
    """The columns of findmnt, for each mount at the lab's mount point."""
    found = guest.ok(f"findmnt --noheadings --raw --output {columns} --mountpoint {shlex.quote(lab.mount_point)}")
    return [line.split() for line in found.splitlines()]


def test_it_is_mounted_once_with_the_right_type(guest: Guest, lab: Lab) -> None:
    """Two mounts on top of each other would hide one that is still busy."""
    assert mount_of(guest, lab, "FSTYPE") == [[lab.filesystem_type]]


def test_it_is_as_writable_as_the_target_claims(guest: Guest, lab: Lab) -> None:
    """A filesystem that met an error on its way up falls back to read-only, and mount(8) still returns 0."""
    [[mount, superblock]] = mount_of(guest, lab, "VFS-OPTIONS,FS-OPTIONS")
    wanted = "rw" if "read-write" in lab.capabilities else "ro"
    assert (mount.split(",")[0], superblock.split(",")[0]) == (wanted, wanted)


def test_it_is_on_the_labs_image(guest: Guest, lab: Lab) -> None:
    """Something else of that type, mounted there, would be tested in its stead."""
    [[source]] = mount_of(guest, lab, "SOURCE")
    assert guest.ok(f"losetup --noheadings --output BACK-FILE {source}") == lab.device_image


def test_it_can_be_listed(guest: Guest, lab: Lab) -> None:
    """The root directory of a mounted filesystem reads without an error."""
    guest.ok(f"ls -lA {shlex.quote(lab.mount_point)}")


def test_module_is_held_by_the_mount(guest: Guest, lab: Lab) -> None:
    """A module that can be unloaded under its mounted filesystem takes the kernel down with it."""
    assert int(guest.ok(f"cat /sys/module/{lab.module_name}/refcnt")) > 0
    guest.refuses(f"rmmod {lab.module_name}", because="in use")
