"""The module idle, unloaded and loaded again: the one place where tests touch what belongs to the roles."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import on_device
from guest import Guest, Lab

# Arguments: mount point, filesystem type. Answers whether it was mounted.
TAKE_DOWN = """
point, kind = arguments
found = [mount[1] for mount in mounts(point)] == [kind]
if found:
    umount(point)
answer(found)
"""

# Arguments: mount point, filesystem type, options, image, module, its parameters; whether it was mounted.
PUT_BACK = """
point, kind, options, image, module, parameters, found = arguments
if not registered(kind):
    load(module, parameters)
if found:
    device = attach(image)
    mount(device, point, kind, options)
    detach(device)  # when it is unmounted
"""

# Arguments: module, its name and parameters, filesystem type. Answers what is wrong.
RELOAD = """
path, module, parameters, kind = arguments
uses = references(module)
if uses:
    answer(f"the module is idle, and its use count is {uses}: it can't be unloaded")
else:
    unload(module)
    left = ["the module"] * os.path.exists(f"/sys/module/{module}") + ["the filesystem type"] * registered(kind)
    load(path, parameters)
    answer(f"after it was unloaded there still is: {', '.join(left)}" if left else "")
"""


@contextlib.contextmanager
def taken_down(guest: Guest, lab: Lab) -> Iterator[None]:
    """The lab's own filesystem unmounted, since a module can't be reloaded under a mount; mounted again afterwards."""
    found = guest.python(TAKE_DOWN, lab.mount_point, lab.filesystem_type)
    if lab.module_dependencies:
        guest.ok(f"modprobe --all {shlex.join(lab.module_dependencies)}")
    try:
        yield
    finally:
        module = (lab.module_path, lab.module_parameters)
        mount = (lab.mount_point, lab.filesystem_type, lab.mount_options(), lab.device_image)
        guest.python(PUT_BACK, *mount, *module, found and not lab.device)
        if found and lab.device:
            on_device.mount(guest, lab)


def module_reloads(guest: Guest, lab: Lab) -> None:
    """Assert that the module is idle, unloads, takes its filesystem type along, and loads again."""
    wrong = guest.python(RELOAD, lab.module_path, lab.module_name, lab.module_parameters, lab.filesystem_type)
    assert not wrong, wrong
