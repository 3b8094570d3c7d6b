"""What gives way to a scratch filesystem, in a test on a device."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

FIELDS = {
    "vexlab_device": "/dev/disk/by-id/virtio-SPARE", "vexlab_phase": 2, "vexlab_work_directory": "/var/lib/vexlab",
    "vexlab_mount_point": "/mnt/vexlab", "vexlab_device_kind": "block", "vexlab_mount_source": "",
    "vexlab_device_size_mb": 64, "vexlab_fsck_command": "",
}  # fmt: skip


class Mounted:
    """A machine on which the lab's own filesystem is mounted; it keeps the commands that it was given."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def call(self, *_: Any, **__: Any) -> list[str]:
        return ["it is mounted"]

    def ok(self, command: str) -> None:
        self.commands.append(command)


@pytest.mark.parametrize(("on_image", "commands"), [(True, []), (False, ["umount /mnt/vexlab"])])
def test_only_what_is_made_on_the_device_has_the_labs_own_unmounted(on_image: bool, commands: list[str]) -> None:
    machine = Mounted()
    Scratch(cast(Guest, machine), Target(FIELDS), on_image=on_image).make_room()
    assert machine.commands == commands
