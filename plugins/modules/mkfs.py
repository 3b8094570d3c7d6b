#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Formats an image file, or a device that is proven free."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mkfs
short_description: Format an image file, or a device that is proven free
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Makes a sparse image file, attaches it to a loop device and runs a command on that. The loop device is detached
    whatever comes of it. A record, the image's name with C(.json) added, is written last. By it a later run tells
    whether command, label, size and O(made_by) are still those that made the image.
  - Or B(destroys what is on a device) and formats it. A device is refused that has another serial number, that isn't a
    whole disk, or that is mounted, held, partitioned, used, a part of something else or the system's. So is one with a
    signature that O(overwrite) doesn't name. It is looked at in the same breath as it is formatted, and stays open.
  - The filesystem can have a second device. Of an image it is another image beside it, its name with C(.second). Of a
    device it is a device of its own, which is looked at, refused and kept open as the first one is.
  - An image is refused that is attached or mounted. A question that can't be answered counts as a refusal.
options:
  state:
    description:
      - V(formatted) formats.
      - V(absent) removes the image and its record. A device is never wiped.
    type: str
    choices: [formatted, absent]
    default: formatted
  image:
    description: Path of the image file.
    type: str
    required: true
  size_mb:
    description: Size of the image file in MiB.
    type: int
    default: 256
  device:
    description: The device to format, as C(/dev/disk/by-id/NAME). Empty means the image file.
    type: str
    default: ""
  serial:
    description: Its serial number, as somebody read it off the disk.
    type: str
    default: ""
  second_size_mb:
    description: Size in MiB of the image of the second device. 0 means that there is none.
    type: int
    default: 0
  second_device:
    description: The second device, as C(/dev/disk/by-id/NAME). It is for O(device), and not for an image.
    type: str
    default: ""
  second_serial:
    description: Its serial number, as somebody read it off the disk.
    type: str
    default: ""
  overwrite:
    description: Signatures that a device may lose, as C(wipefs) names them.
    type: list
    elements: str
    default: []
  command:
    description:
      - Shell command that formats. C(DEVICE) and C(LABEL) are in its environment, and C(SECOND_DEVICE) if there is one.
    type: str
    default: ""
  force_command:
    description: The same for a device that carries a signature. Empty takes O(command).
    type: str
    default: ""
  label:
    description: What C(LABEL) says.
    type: str
    default: vexlab
  directory:
    description: Directory in which the command runs.
    type: str
    default: /
  type:
    description: Type of the filesystem that is made, under which one that a device carries already is named.
    type: str
    default: ""
  magic:
    description: Its magic number as hexadecimal digits, by which it is known on a device.
    type: str
    default: ""
  magic_offset:
    description: Where that is, in bytes.
    type: int
    default: 0
  made_by:
    description: File whose change makes a new image necessary. Empty means none.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: The image or device is looked at and refused as it would be. Nothing is written.
requirements: [losetup, wipefs]
"""

EXAMPLES = r"""
- name: Format an image
  vexfs.vexlab.mkfs:
    image: /var/lib/vexlab/device.img
    command: mkfs.ext4 -q -L "$LABEL" "$DEVICE"
"""

RETURN = r"""
device:
  description: What the device is, before it was formatted. Empty for an image.
  returned: success
  type: dict
  sample:
    by_id: /dev/disk/by-id/ata-EXAMPLE_123
    path: /dev/sdb
    number: "8:16"
    size: 100663296
    serial: "123"
    model: EXAMPLE
    signatures: [ext4]
    refusals: []
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import commands
from ansible_collections.vexfs.vexlab.plugins.module_utils import device as devices
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable


class FormatError(Exception):
    """Why nothing was formatted, or not well, as a sentence."""


def loops_of(image: Path) -> list[Path]:
    """Return the directories in /sys of the loop devices that an image is attached to."""
    attached = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # the loop device may go away while we look
            if backing.read_text(errors="surrogateescape").rstrip("\n") == str(image.resolve()):
                attached.append(backing.parent.parent)
    return attached


def image_refusals(image: Path) -> list[str]:
    """Return why an image file may not be made anew, or removed."""
    if image.is_symlink() or (image.exists() and not image.is_file()):
        return ["it is not a regular file"]
    kernel, refusals = devices.Kernel(), []
    for loop in loops_of(image):
        with contextlib.suppress(OSError):  # detached meanwhile
            number = (loop / "dev").read_text().strip()
            points = [point for one, point in kernel.mounts() if one == number]
            use = f"mounted at {', '.join(points)}" if points else f"attached to {loop.name}"
            refusals.append(f"it is {use}; unmount it first")
    return refusals


def stamp(inputs: dict[str, Any]) -> str:
    """Return what an image is made from, as one hash."""
    made_by = Path(inputs["made_by"]) if inputs["made_by"] else None
    content = made_by.read_bytes() if made_by and made_by.is_file() else b""
    settings = json.dumps([inputs["command"], inputs["label"], inputs["size_mb"], inputs["second_size_mb"]])
    return hashlib.sha256(settings.encode() + content).hexdigest()


def record_of(image: Path) -> Path:
    """Return where it is written down what an image was made from."""
    return Path(f"{image}.json")


def is_current(image: Path, wanted: str, size: int) -> bool:
    """Tell whether the image file has this size in bytes and was made from what this stamp says."""
    try:
        record = json.loads(record_of(image).read_text())
        return bool(record["stamp"] == wanted and image.stat().st_size == size)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def second_of(image: Path) -> Path:
    """Return the image of the second device, which goes with an image."""
    return Path(f"{image}.second")


def run_mkfs(inputs: dict[str, Any], command: str, device: str, second: str) -> None:
    """Run a command that formats a device; raises FormatError with its words when it fails."""
    environment = {"DEVICE": device, "LABEL": inputs["label"]} | ({"SECOND_DEVICE": second} if second else {})
    done = commands.run(["sh", "-euc", command], cwd=inputs["directory"], env=environment)
    if done.code:
        raise FormatError(f"`{command}` failed with exit code {done.code}: {done.said}")


def flush(path: Path) -> None:
    """Have what was written to a file or a device be there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def attached(image: Path) -> Iterator[str]:
    """Attach an image to a loop device, and tell its path; whatever comes, nothing is left attached.

    It is found by its file then, since losetup may be ended after it attached it and before it could tell.
    """
    try:
        yield commands.output(["losetup", "--find", "--show", "--nooverlap", str(image)]).strip()
    finally:
        for loop in loops_of(image):
            commands.output(["losetup", "--detach", f"/dev/{loop.name}"])


def format_image(inputs: dict[str, Any], *, check: bool) -> bool:
    """Make the image anew unless it is current; returns whether it wasn't. Raises FormatError if it may not be made."""
    image, size, made_from = Path(inputs["image"]), inputs["size_mb"] << 20, stamp(inputs)
    second, second_size = second_of(image), inputs["second_size_mb"] << 20
    if is_current(image, made_from, size) and (second.stat().st_size if second.is_file() else 0) == second_size:
        return False
    if refusals := [f"{one} is not formatted: {why}." for one in (image, second) for why in image_refusals(one)]:
        raise FormatError(" ".join(refusals))
    if check:
        return True
    if not Path(inputs["directory"]).is_dir():  # before anything is removed
        raise FormatError(f"there is no directory {inputs['directory']}, in which the command is to run")
    record_of(image).unlink(missing_ok=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    for one, length in ((image, size), (second, second_size)):
        one.unlink(missing_ok=True)
        if length:
            with one.open("xb") as file:
                file.truncate(length)
    with attached(image) as device, attached(second) if second_size else contextlib.nullcontext("") as other:
        run_mkfs(inputs, inputs["command"], device, other)
        for path in filter(None, (device, other)):
            flush(Path(path))
    for one in (image, *([second] if second_size else [])):
        flush(one)
    record_of(image).write_text(json.dumps({"stamp": made_from}) + "\n")
    return True


def remove_image(inputs: dict[str, Any], *, check: bool) -> bool:
    """Remove images and record; returns whether one of them was there. Raises FormatError if it may not."""
    image = Path(inputs["image"])
    second = second_of(image)
    if refusals := [f"{one} is not removed: {why}." for one in (image, second) for why in image_refusals(one)]:
        raise FormatError(" ".join(refusals))
    there = [path for path in (record_of(image), image, second) if path.exists() or path.is_symlink()]
    if not check:
        for path in there:
            path.unlink()
    return bool(there)


def free_devices(inputs: dict[str, Any]) -> list[devices.Device]:
    """Return the device, and the second one, as they are now; raises FormatError when one may not be formatted."""
    own = {"type": inputs["type"], "magic": inputs["magic"], "offset": inputs["magic_offset"]}
    found = []
    for name, serial in named_devices(inputs):
        device = devices.look(name, serial, own)
        if said := devices.refusal(device, inputs["overwrite"]):
            raise FormatError(f"{name} is not formatted: {said}.")
        found.append(device)
    if len({device.number for device in found}) < len(found):
        raise FormatError(f"{inputs['device']} and {inputs['second_device']} are one device; nothing is formatted.")
    return found


def named_devices(inputs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and serial number of the device, and of the second one; raises FormatError when one is missing."""
    if inputs["second_size_mb"] and not inputs["second_device"]:
        raise FormatError("the filesystem has a second device, and none is named; nothing is formatted.")
    second = [(inputs["second_device"], inputs["second_serial"])] if inputs["second_device"] else []
    return [(inputs["device"], inputs["serial"]), *second]


def format_device(inputs: dict[str, Any], *, check: bool) -> devices.Device:
    """Look at the device and format it; it stays open, so that what was looked at is what is written."""
    if check:
        return free_devices(inputs)[0]
    with contextlib.ExitStack() as held:
        for name, _ in named_devices(inputs):
            held.enter_context(devices.held(name))
        found, command = free_devices(inputs), inputs["command"]
        for device in found:
            if device.signatures:
                # What is at the end of the device, such as the second table of GPT, no mkfs would reach.
                commands.output(["wipefs", "--quiet", "--all", device.path])
                command = inputs["force_command"] or command
        run_mkfs(inputs, command, *(device.path for device in found), *([""] if len(found) == 1 else []))
    return found[0]


def apply(inputs: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Format or remove; returns the answer. Raises FormatError, DeviceError and CommandError."""
    if inputs["state"] == "absent":
        return {"changed": remove_image(inputs, check=check), "device": {}}
    if inputs["device"]:
        return {"changed": True, "device": dataclasses.asdict(format_device(inputs, check=check))}
    return {"changed": format_image(inputs, check=check), "device": {}}


def main() -> None:
    """Format or remove, or say why not."""
    text, number = {"type": "str", "default": ""}, {"type": "int", "default": 0}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["formatted", "absent"], "default": "formatted"},
            "image": {"type": "str", "required": True},
            "size_mb": {"type": "int", "default": 256},
            "device": text,
            "serial": text,
            "second_size_mb": number,
            "second_device": text,
            "second_serial": text,
            "overwrite": {"type": "list", "elements": "str", "default": []},
            "command": text,
            "force_command": text,
            "label": {"type": "str", "default": "vexlab"},
            "directory": {"type": "str", "default": "/"},
            "type": text,
            "magic": text,
            "magic_offset": number,
            "made_by": text,
        },
        supports_check_mode=True,
    )
    try:
        with interruptible():
            answer = apply(module.params, check=module.check_mode)
    except (FormatError, devices.DeviceError, commands.CommandError) as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        module.fail_json(msg=of_system(problem))
    except Interrupted as end:
        module.fail_json(msg=f"formatting {module.params['device'] or module.params['image']} was ended by {end}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
