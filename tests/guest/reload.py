"""The module idle, unloaded and loaded again: the one place where tests touch what belongs to the roles."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from guest import Guest, Lab


@contextlib.contextmanager
def taken_down(guest: Guest, lab: Lab) -> Iterator[None]:
    """The lab's own filesystem unmounted, since a module can't be reloaded under a mount; mounted again afterwards."""
    point, kind = shlex.quote(lab.mount_point), shlex.quote(lab.filesystem_type)
    found = guest.ok(f"findmnt -n -o SOURCE,OPTIONS -t {kind} --mountpoint {point} || [ $? -eq 1 ]")
    if found:
        guest.ok(f"umount {point}")
    try:
        yield
    finally:
        guest.ok(f"grep -qw {kind} /proc/filesystems || {{ {lab.insmod_command}; }}")
        if found:
            guest.ok(f"mount -t {kind} -o loop,{lab.mount_options()} {shlex.quote(lab.device_image)} {point}")


def module_reloads(guest: Guest, lab: Lab) -> None:
    """Assert that the module is idle, unloads, takes its filesystem type along, and loads again."""
    name, kind = shlex.quote(lab.module_name), shlex.quote(lab.filesystem_type)
    known = f"grep -qw {kind} /proc/filesystems"
    uses = guest.ok(f"cat /sys/module/{name}/refcnt")
    assert uses == "0", f"the module is idle, and its use count is {uses}: it can't be unloaded"
    left = guest.ok(f"rmmod {name}; if {known}; then echo type; fi; if [ -e /sys/module/{name} ]; then echo module; fi")
    assert not left, f"after rmmod there still is: {left}"
    guest.ok(f"{lab.insmod_command}; {known}")
