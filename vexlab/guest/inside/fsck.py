"""The target's fsck, which looks at a filesystem that isn't mounted, and only looks."""

from __future__ import annotations

import os
import stat

from vexlab.guest.inside import second_device
from vexlab.guest.inside.attempts import crash, ended
from vexlab.guest.inside.images import attach, detach


def examine(device: str, fsck: str) -> None:
    """Have the target's fsck look at a device; raises AssertionError with what it said of one that isn't right."""
    code, stdout, stderr = ended(second_device.exports(device) + fsck)
    said = " ".join(f"{stdout} {stderr}".split())[-600:] or "it said nothing"
    broken = crash(code)
    assert not broken, f"vexlab_fsck_command could not look at the filesystem, {broken} (exit code {code}): {said}"
    assert code == 0, f"after the unmount, vexlab_fsck_command finds the filesystem wrong (exit code {code}): {said}"


def lab_image(image: str, fsck: str) -> None:
    """The same of what the lab's own filesystem is on, an image or a device."""
    if not stat.S_ISREG(os.stat(image).st_mode):
        examine(image, fsck)
        return
    device = attach(image, read_only=True)
    try:
        examine(device, fsck)
    finally:
        detach(device)
