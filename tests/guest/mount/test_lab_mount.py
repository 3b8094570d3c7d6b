"""The lab's own mount, as the role left it. Nothing is written to it here."""

from __future__ import annotations

import pytest
from guest import Guest, Lab

# What /proc tells of each mount at a place: type, device, and `ro` or `rw` for the mount and for the superblock.
LOOK = """
found = []
for line in read("/proc/self/mountinfo").splitlines():
    mount, superblock = (part.split() for part in line.split(" - "))
    if mount[4] == arguments[0]:
        found.append([superblock[0], superblock[1], mount[5].split(",")[0], superblock[2].split(",")[0]])
answer(found)
"""


@pytest.fixture(scope="module")
def lab_mounts(guest: Guest, lab: Lab) -> list[list[str]]:
    """The mounts at the lab's mount point."""
    found: list[list[str]] = guest.python(LOOK, lab.mount_point)
    return found


def test_it_is_mounted_once_with_the_right_type(lab: Lab, lab_mounts: list[list[str]]) -> None:
    """Two mounts on top of each other would hide one that is still busy."""
    assert [kind for kind, *_ in lab_mounts] == [lab.filesystem_type]


def test_it_is_as_writable_as_the_target_claims(lab: Lab, lab_mounts: list[list[str]]) -> None:
    """A filesystem that met an error on its way up falls back to read-only, and mount(8) still returns 0."""
    wanted = "rw" if "read-write" in lab.capabilities else "ro"
    assert [writable for _, _, *writable in lab_mounts] == [[wanted, wanted]]


def test_it_is_on_the_labs_image(guest: Guest, lab: Lab, lab_mounts: list[list[str]]) -> None:
    """Something else of that type, mounted there, would be tested in its stead."""
    [[_, source, *_]] = lab_mounts
    if lab.device:
        assert source == guest.python("answer(os.path.realpath(arguments[0]))", lab.device)
    else:
        assert source in guest.python("answer(loops(arguments[0]))", lab.device_image)


def test_it_can_be_listed(guest: Guest, lab: Lab) -> None:
    """The root directory of a mounted filesystem reads without an error."""
    guest.python("for entry in os.scandir(arguments[0]): os.lstat(entry.path)", lab.mount_point)


def test_module_is_held_by_the_mount(guest: Guest, lab: Lab) -> None:
    """A module that can be unloaded under its mounted filesystem takes the kernel down with it."""
    assert int(guest.python("answer(read(arguments[0]))", f"/sys/module/{lab.module_name}/refcnt")) > 0
    unload = f"check(libc.delete_module({lab.module_name!r}.encode(), os.O_NONBLOCK), {lab.module_name!r})"
    assert guest.attempts("/", {"unload": unload}) == {"unload": "EAGAIN"}
