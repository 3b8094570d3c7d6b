#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Mounts a filesystem, read-only first, then read-write, and unmounts it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mount
short_description: Mount a filesystem, read-only first, then read-write, and unmount it
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Mounts an image through a loop device, a device, a directory, or what has no device. It is mounted read-only, read
    and unmounted before it is mounted read-write, so that a filesystem that can't even be read is never written.
  - A mount point that carries another type is refused.
  - A device that has a O(serial) is mounted by a process that has just read its number and keeps it open.
options:
  state:
    description: V(unmounted) fails when something uses the filesystem, and forces nothing.
    type: str
    choices: [mounted, unmounted]
    default: mounted
  kind:
    description:
      - What is mounted. V(none) is a filesystem without a device.
      - V(directory) is one over a directory, which is made if missing.
    type: str
    choices: [block, none, directory]
    default: block
  device:
    description: Path of the image, device or directory. Without a device, the word that mount gets in its place.
    type: str
    required: true
  second:
    description:
      - Path of the image of a second device, which is attached to a loop device for as long as the filesystem is
        mounted, or of the second device itself. Empty means none.
    type: str
    default: ""
  serial:
    description: Serial number that the device must have at the moment it is mounted. Empty doesn't ask.
    type: str
    default: ""
  point:
    description: Directory to mount at. Made if missing.
    type: str
    required: true
  type:
    description: Filesystem type as C(/proc/filesystems) has it.
    type: str
    required: true
  options_ro:
    description: Options of the read-only mount.
    type: str
    default: ro
  options_rw:
    description: Options of the read-write mount.
    type: str
    default: rw
  writable:
    description: Whether the filesystem can be written. If not, it stays mounted read-only.
    type: bool
    default: true
  before:
    description:
      - Shell command before each mount. C(DEVICE) and C(MOUNT) are in its environment, and C(SECOND_DEVICE) if there is
        one. Empty means none.
    type: str
    default: ""
  options_command:
    description: Shell command that prints further options of a mount, separated by commas. Empty means none.
    type: str
    default: ""
  after:
    description: Shell command after each unmount. Empty means none.
    type: str
    default: ""
  directory:
    description: Directory in which these commands run.
    type: str
    default: /
attributes:
  check_mode:
    support: full
    description: It is told whether it would be mounted or unmounted, and refused as it would be. No command is run.
requirements: [findmnt, mount, umount]
"""

EXAMPLES = r"""
- name: Mount the image
  vexfs.vexlab.mount:
    device: /var/lib/vexlab/device.img
    point: /mnt/vexlab
    type: myfs
"""

RETURN = r"""
mounted:
  description: Whether the filesystem is mounted now, or in check mode would be.
  returned: success
  type: bool
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import commands
from ansible_collections.vexfs.vexlab.plugins.module_utils.device import DeviceError, identified
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable


class MountError(Exception):
    """Why nothing is mounted or unmounted, as a sentence."""


def mounted_type(point: str) -> str:
    """Return the type of what is mounted at a place, of several the uppermost; empty when nothing is."""
    command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--mountpoint", point]
    done = commands.run(command)
    if done.code not in (0, 1):  # 1: nothing is mounted there
        raise MountError(f"`{' '.join(command)}` failed: {done.said}")
    return done.stdout.strip().rpartition("\n")[2]


def refusal(inputs: dict[str, Any]) -> str:
    """Return why there is nothing to mount, as a sentence; empty when there is."""
    registered = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    if inputs["type"] not in registered:
        return f"the running kernel knows no filesystem {inputs['type']}; role vexfs_load loads its module"
    missing = [path for path in (inputs["device"], inputs["second"]) if path and not Path(path).exists()]
    if inputs["kind"] == "block" and missing:
        return f"there is no {missing[0]}; role vexfs_mkfs makes it"
    return ""


def shell(inputs: dict[str, Any], command: str, second: str) -> str:
    """Run one of the commands around mounts, if there is one; returns what it printed."""
    environment = {"DEVICE": inputs["device"], "MOUNT": inputs["point"]} | ({"SECOND_DEVICE": second} if second else {})
    return commands.output(["sh", "-euc", command], cwd=inputs["directory"], env=environment) if command else ""


@contextlib.contextmanager
def attached(path: str) -> Iterator[str]:
    """Tell the device of a path, attached for this if it is an image; it is free when nothing has it open any more."""
    if not Path(path).is_file():
        yield path
        return
    device = commands.output(["losetup", "--find", "--show", "--nooverlap", path]).strip()
    try:
        yield device
    finally:
        commands.output(["losetup", "--detach", device])  # of one that is in use, the kernel does that later


def mount(inputs: dict[str, Any], options: str, *how: str) -> None:
    """Mount with these options, and those that the options command tells, after what comes before each mount."""
    with attached(inputs["second"]) as second:
        mount_beside(inputs, second, options, *how)


def mount_beside(inputs: dict[str, Any], second: str, options: str, *how: str) -> None:
    """Mount while the second device is there, if the filesystem has one."""
    shell(inputs, inputs["before"], second)
    more = shell(inputs, inputs["options_command"], second).strip()
    if len(more.split()) > 1:
        raise MountError(f"vexfs_mount_options_command printed {more}; it prints options, separated by commas")
    # mount finds out by itself that a file needs a loop device only for filesystems that util-linux knows.
    is_image = inputs["kind"] == "block" and Path(inputs["device"]).is_file()
    words = ",".join([*(["loop"] if is_image else []), options, *([more] if more else [])])
    device, serial = inputs["device"], inputs["serial"]
    with identified(device, serial) if serial else contextlib.nullcontext(device) as path:
        commands.output(["mount", *how, f"--types={inputs['type']}", f"--options={words}", path, inputs["point"]])


def unmount(inputs: dict[str, Any]) -> None:
    """Unmount, and do what comes after that."""
    commands.output(["umount", inputs["point"]])
    shell(inputs, inputs["after"], inputs["second"])


def mount_twice(inputs: dict[str, Any]) -> None:
    """Mount read-only and read it; then mount read-write, if it can be written."""
    if inputs["kind"] == "directory":
        directory = Path(inputs["device"])
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)  # whatever the umask is
    mount(inputs, inputs["options_ro"], "--mkdir")
    if inputs["writable"]:
        commands.output(["ls", "-lA", inputs["point"]])
        commands.output(["stat", "--file-system", inputs["point"]])
        unmount(inputs)
        mount(inputs, inputs["options_rw"])


def apply(inputs: dict[str, Any], *, check: bool) -> bool:
    """Mount or unmount; returns whether that was necessary. Raises MountError, DeviceError and CommandError."""
    point, there = inputs["point"], mounted_type(inputs["point"])
    if there not in ("", inputs["type"]):
        raise MountError(f"{point} carries another mount already ({there}); unmount that or name another mount point.")
    mounts = inputs["state"] == "mounted"
    if mounts == bool(there):
        return False
    if mounts and (why := refusal(inputs)):
        raise MountError(why)
    if not check:
        (mount_twice if mounts else unmount)(inputs)
    return True


def main() -> None:
    """Mount or unmount, or say why not."""
    text, required = {"type": "str", "default": ""}, {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["mounted", "unmounted"], "default": "mounted"},
            "kind": {"type": "str", "choices": ["block", "none", "directory"], "default": "block"},
            "device": required,
            "second": text,
            "serial": text,
            "point": required,
            "type": required,
            "options_ro": {"type": "str", "default": "ro"},
            "options_rw": {"type": "str", "default": "rw"},
            "writable": {"type": "bool", "default": True},
            "before": text,
            "options_command": text,
            "after": text,
            "directory": {"type": "str", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        with interruptible():
            changed = apply(module.params, check=module.check_mode)
    except (MountError, DeviceError, commands.CommandError) as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        module.fail_json(msg=of_system(problem))
    except Interrupted as end:
        module.fail_json(msg=f"the work at {module.params['point']} was ended by {end}")
    module.exit_json(changed=changed, mounted=module.params["state"] == "mounted")


if __name__ == "__main__":
    main()
