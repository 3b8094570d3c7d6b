"""What must not be mounted, and what of it must not happen twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.inside import refused_mounts
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted


@pytest.fixture(scope="module")
def blank(guest: Guest, target: Target) -> Iterator[Scratch]:
    """A second device, which the target's mkfs never sees; each check makes it anew."""
    resource = Scratch(guest, target, "blank")
    yield resource
    resource.remove()


@pytest.mark.needs("device")
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(name, marks=[pytest.mark.needs("other-than-ext4")] * (name == "another filesystem"))
        for name in refused_mounts.CONTENTS
    ],
)
def test_what_is_not_the_filesystem(target: Target, blank: Scratch, content: str) -> None:
    """An error, no oops, nothing written, and no reference kept: a disk of any content can be plugged in."""
    outcome, before, after = blank.call(refused_mounts.other_content, blank.size, content, target.module_name)
    assert "done" not in outcome, "a device with something else on it was mounted"
    assert after == before, "the module was kept in use, or the device was written to"


@pytest.mark.needs("device")
def test_device_of_one_sector(blank: Scratch) -> None:
    """A device of one sector, which holds no superblock or half of one, is refused."""
    assert blank.call(refused_mounts.one_sector) != "done", "a device of one sector was mounted"


@pytest.mark.needs("device")
def test_missing_device(scratch: Scratch) -> None:
    """A device that isn't there is refused with an errno of the kernel."""
    assert scratch.call(refused_mounts.missing_device) != "done", "a device that isn't there was mounted"


def test_option_that_nobody_knows(scratch: Scratch) -> None:
    """A typing error in an option must not mount with the option left out."""
    outcome, mounted = scratch.call(refused_mounts.unknown_option)
    assert outcome != "done", "the option was ignored"
    assert not mounted, f"the mount failed with {outcome}, and there is something mounted"


def test_mount_on_a_file(scratch: Scratch) -> None:
    """A mount on a file is refused: a mount point is a directory."""
    assert scratch.call(refused_mounts.on_a_file) != "done", "the device was mounted on a file"


@pytest.mark.needs("device")
@pytest.mark.requires("read-write")
def test_second_mount_shows_the_same(scratch: Scratch) -> None:
    """A device that is mounted twice is one filesystem with one cache, or the second mount is refused."""
    found = scratch.call(refused_mounts.second_mount)
    assert found == "seen", f"a file made under one mount reads {quoted(found)} under a second mount of the same device"
