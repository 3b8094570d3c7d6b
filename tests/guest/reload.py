"""The module idle, unloaded and loaded again: the one place where tests touch what belongs to the roles."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import on_device
from guest import Guest, Lab
from inside import around_mounts, fsck, modules, system


@contextlib.contextmanager
def taken_down(guest: Guest, lab: Lab) -> Iterator[None]:
    """The lab's own filesystem unmounted, since a module can't be reloaded under a mount; mounted again afterwards."""
    guest.call(around_mounts.set_up, lab.filesystem_type, lab.around_mounts)
    found = guest.call(modules.take_down, lab.mount_point, lab.filesystem_type)
    if lab.module_dependencies:
        guest.ok(f"modprobe --all {shlex.join(lab.module_dependencies)}")
    try:
        if found and lab.fsck:
            guest.call(fsck.lab_image, lab.device_image, lab.fsck)
        yield
    finally:
        guest.call(modules.load_unless_there, lab.module_path, lab.module_parameters, lab.filesystem_type)
        if found and lab.device:
            on_device.mount(guest, lab)
        elif found and lab.lacks("device"):
            guest.call(system.mount, lab.source_mounted, lab.mount_point, lab.filesystem_type, lab.mount_options())
        elif found:
            where = (lab.mount_point, lab.filesystem_type, lab.mount_options())
            guest.call(modules.mount_image, lab.device_image, *where)


def module_reloads(guest: Guest, lab: Lab) -> None:
    """Assert that the module is idle, unloads, takes its filesystem type along, and loads again."""
    wrong = guest.call(modules.reload, lab.module_path, lab.module_name, lab.module_parameters, lab.filesystem_type)
    assert not wrong, wrong
