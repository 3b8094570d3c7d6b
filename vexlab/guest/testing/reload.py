"""The module idle, unloaded and loaded again: the one place where tests touch what belongs to the roles."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from vexlab.guest.inside import around_mounts, fsck, modules, second_device, system
from vexlab.guest.testing import on_device
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


@contextlib.contextmanager
def taken_down(guest: Guest, target: Target) -> Iterator[None]:
    """The lab's own filesystem unmounted, since a module can't be reloaded under a mount; mounted again afterwards."""
    guest.call(around_mounts.set_up, target.filesystem_type, target.around_mounts)
    guest.call(second_device.set_up, int(target.second_device_size_mb) << 20)
    found = guest.call(modules.take_down, target.mount_point, target.filesystem_type)
    if target.module_dependencies:
        guest.ok(f"modprobe --all {shlex.join(target.module_dependencies)}")
    where = (target.mount_point, target.filesystem_type, target.mount_options())
    try:
        if found and target.fsck:
            guest.call(fsck.lab_image, target.device_image, target.fsck)
        yield
    finally:
        guest.call(modules.load_unless_there, target.module_path, target.module_parameters, target.filesystem_type)
        if found and target.device:
            on_device.mount(guest, target)
        elif found and target.lacks("device"):
            guest.call(
                system.mount, target.source_mounted, target.mount_point, target.filesystem_type, target.mount_options()
            )
        elif found:
            where = (target.mount_point, target.filesystem_type, target.mount_options())
            guest.call(modules.mount_image, target.device_image, *where)


def module_reloads(guest: Guest, target: Target) -> None:
    """Assert that the module is idle, unloads, takes its filesystem type along, and loads again."""
    wrong = guest.call(
        modules.reload, target.module_path, target.module_name, target.module_parameters, target.filesystem_type
    )
    assert not wrong, wrong
