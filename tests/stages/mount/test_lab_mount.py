"""The lab's own mount, as the role left it. Nothing is written to it here."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import images, lab_mount, modules
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed


@pytest.fixture(scope="module")
def lab_mounts(guest: Guest, target: Target) -> list[list[str]]:
    """The mounts at the lab's mount point."""
    return guest.call(lab_mount.look, target.mount_point)


def test_it_is_mounted_once_with_the_right_type(target: Target, lab_mounts: list[list[str]]) -> None:
    """Two mounts on top of each other would hide one that is still busy."""
    kinds = [kind for kind, *_ in lab_mounts]
    assert kinds == [target.filesystem_type], (
        f"mounted at {target.mount_point}: {listed(kinds)}; expected {target.filesystem_type}"
    )


def test_it_is_as_writable_as_the_target_claims(target: Target, lab_mounts: list[list[str]]) -> None:
    """A filesystem that met an error on its way up falls back to read-only, and mount(8) still returns 0."""
    wanted = "rw" if "read-write" in target.capabilities else "ro"
    for _, _, mount, itself in lab_mounts:
        assert (mount, itself) == (wanted, wanted), f"the mount is {mount}, the filesystem {itself}; expected {wanted}"


def test_it_is_of_the_labs_source(guest: Guest, target: Target, lab_mounts: list[list[str]]) -> None:
    """Something else of that type, mounted there, would be tested in its stead."""
    sources = [source for _, source, *_ in lab_mounts]
    wanted = guest.call(images.loops, target.device_image) if not target.device else []
    if target.device:
        wanted = [guest.call(lab_mount.real_path, target.device)]
    elif target.lacks("device"):
        wanted = [target.source_mounted]
    assert len(sources) == 1, f"{len(sources)} filesystems are mounted at {target.mount_point}"
    assert sources[0] in wanted, f"mounted at {target.mount_point} is {sources[0]}, expected {listed(wanted)}"


def test_it_can_be_listed(guest: Guest, target: Target) -> None:
    """The root directory of a mounted filesystem reads without an error."""
    guest.call(lab_mount.list_root, target.mount_point)


@pytest.mark.needs("loadable")
def test_module_is_held_by_the_mount(guest: Guest, target: Target) -> None:
    """A module that can be unloaded under its mounted filesystem takes the kernel down with it."""
    uses, unload = guest.call(modules.unload_under_a_mount, target.module_name)
    assert uses > 0, "the module's use count is 0 while its filesystem is mounted"
    assert unload == "EAGAIN", f"delete_module while its filesystem is mounted: {unload}, expected EAGAIN"
