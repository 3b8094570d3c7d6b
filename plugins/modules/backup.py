#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Backs a block device up into a file, and puts it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back a block device up into a file, and put it back
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Writes a compressed image of a device that nothing uses, and beside it a record, the image's name with C(.json)
    added, with the sha256 of the device's content. The record is written last, when the image was read back and found
    right. An image without it is no backup.
  - Or B(overwrites the device) with such an image. Nothing is written before the whole image was read and found right,
    and afterwards the device is read back.
  - A device is refused that has another serial number, or that is mounted, held, partitioned, used or the system's.
options:
  state:
    description:
      - V(saved) makes a new backup.
      - V(restored) overwrites the device with the content of one.
      - V(there) only sees whether there is one that would fit.
    type: str
    choices: [there, saved, restored]
    default: there
  device:
    description: The device, as C(/dev/disk/by-id/NAME).
    type: str
    required: true
  serial:
    description: Its serial number, as somebody read it off the disk.
    type: str
    required: true
  directory:
    description: Directory for a new backup, with as much free space as the device is large. Made if missing.
    type: str
  file:
    description: The backup to restore or to look at.
    type: str
attributes:
  check_mode:
    support: full
    description: The device and the backup are looked at, and nothing is written. A backup is not read to its end.
requirements: [wipefs, "zstd or gzip"]
"""

EXAMPLES = r"""
- name: Back the device up
  vexfs.vexlab.backup:
    state: saved
    device: /dev/disk/by-id/ata-EXAMPLE_123
    serial: "123"
    directory: /var/lib/vexlab-backups
"""

RETURN = r"""
backup:
  description:
    - The record of the backup. It has its C(file), the C(serial) number, C(size) and C(sha256) of the device, and
      C(when) it was made.
    - Empty for a backup that check mode didn't make.
  returned: success
  type: dict
  sample:
    schema: 1
    file: /var/lib/vexlab-backups/123-20260101-120000.img.zst
    by_id: /dev/disk/by-id/ata-EXAMPLE_123
    serial: "123"
    size: 100663296
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    tool: zstd
    bytes: 1048576
    host: lab1
    when: "2026-01-01T12:00:00+00:00"
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, cast

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import device as devices
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable

STEP = 4 << 20
MARGIN = 16 << 20  # bytes that stay free beside the image
BLKFLSBUF = 0x1261  # linux/fs.h: have the kernel forget what it has of a device in memory
BLKRRPART = 0x125F


def free_device(inputs: dict[str, Any]) -> devices.Device:
    """The device, if nothing but what it carries speaks against writing to it."""
    found = devices.look(inputs["device"], inputs["serial"])
    if found.refusals:
        raise devices.DeviceError(f"{inputs['device']} is left alone: {'; '.join(found.refusals)}.")
    return found


@contextlib.contextmanager
def opened(found: devices.Device, flags: int) -> Iterator[int]:
    """The device for us alone; what opens must be what was looked at."""
    descriptor = os.open(found.path, flags | os.O_EXCL)
    try:
        if devices.number_of(os.fstat(descriptor).st_rdev) != found.number:
            raise devices.DeviceError(f"{found.by_id} became another disk between the look at it and now.")
        yield descriptor
    finally:
        os.close(descriptor)


def content(descriptor: int, size: int) -> Iterator[bytes]:
    """All that is on an open device."""
    done = 0
    while done < size:
        block = os.pread(descriptor, min(STEP, size - done), done)
        if not block:
            raise devices.DeviceError(f"the device ended after {done} of {size} bytes; it is gone, or broken.")
        done += len(block)
        yield block


def unpacked(file: Path, tool: str) -> Iterator[bytes]:
    """The content of an image, decompressed."""
    with subprocess.Popen([tool, "-d", "-c", str(file)], stdout=subprocess.PIPE) as process:
        stdout = cast("IO[bytes]", process.stdout)
        while block := stdout.read(STEP):
            yield block
    if process.returncode:
        raise devices.DeviceError(f"{file} can't be read: {tool} failed with {process.returncode}.")


def digest(blocks: Iterator[bytes]) -> tuple[int, str]:
    """Length and sha256 of what comes."""
    total, length = hashlib.sha256(), 0
    for block in blocks:
        total.update(block)
        length += len(block)
    return length, total.hexdigest()


def require_room(inputs: dict[str, Any], size: int) -> None:
    """Raise DeviceError when there is no room for a backup of so many bytes."""
    directory = Path(inputs["directory"])
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size + MARGIN:
        raise devices.DeviceError(
            f"{directory} has {free >> 20} MiB free, and a backup of {inputs['device']} may take "
            f"{size >> 20} MiB: name another directory."
        )


def save(inputs: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """Write the image, read it back, then write the record, which is returned; `check` writes nothing."""
    found = free_device(inputs)
    require_room(inputs, found.size)
    if check:
        return {}
    directory = Path(inputs["directory"])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    tool = "zstd" if shutil.which("zstd") else "gzip"
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", inputs["serial"])
    file = directory / f"{stem}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.img.{'zst' if tool == 'zstd' else 'gz'}"
    partial = file.with_name(f".{file.name}.partial")
    for old in directory.glob(f".{stem}-*.partial"):  # of a backup that was killed
        old.unlink()
    try:
        with opened(found, os.O_RDONLY) as source:
            size, told = write_image(partial, tool, content(source, found.size))
        if digest(unpacked(partial, tool)) != (size, told):
            raise devices.DeviceError(f"what was written to {partial} isn't what reads back; the backup is removed.")
        record = {
            "schema": 1, "file": str(file), "by_id": inputs["device"], "serial": inputs["serial"], "size": size,
            "sha256": told, "tool": tool, "bytes": partial.stat().st_size, "host": os.uname().nodename,
            "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }  # fmt: skip
        partial.rename(file)
        note = Path(f"{partial}.json")
        note.write_text(json.dumps(record, indent=1) + "\n")
        with note.open("rb") as handle:
            os.fsync(handle.fileno())
        note.rename(f"{file}.json")
    finally:
        partial.unlink(missing_ok=True)
    return record


def write_image(path: Path, tool: str, blocks: Iterator[bytes]) -> tuple[int, str]:
    """Compress what comes into a file, on disk when this returns; length and sha256 of what came."""
    total, length = hashlib.sha256(), 0
    with path.open("wb") as image:
        process = subprocess.Popen([tool, "-c", "-1"], stdin=subprocess.PIPE, stdout=image, stderr=subprocess.PIPE)
        stdin, stderr = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stderr)
        try:
            for block in blocks:
                stdin.write(block)
                total.update(block)
                length += len(block)
            stdin.close()
        except BrokenPipeError:
            pass  # its own words come below
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = stderr.read().decode(errors="replace").strip()
        if process.wait():
            raise devices.DeviceError(f"{path} can't be written: {said}")
        os.fsync(image.fileno())
    return length, total.hexdigest()


def record_of(inputs: dict[str, Any]) -> dict[str, Any]:
    """The record of a backup that is whole and of the disk with this serial number."""
    file = Path(inputs["file"])
    try:
        record: dict[str, Any] = json.loads(Path(f"{file}.json").read_text())
        serial, size, length = record["serial"], int(record["size"]), int(record["bytes"])
        known = record["sha256"], record["tool"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise devices.DeviceError(f"{file} is no backup: {file}.json can't be read ({problem}).") from problem
    if serial != inputs["serial"]:
        raise devices.DeviceError(f"{file} is a backup of the disk {serial}, not of {inputs['serial']}.")
    if not file.is_file() or file.stat().st_size != length or known[1] not in ("zstd", "gzip"):
        raise devices.DeviceError(f"{file} is not the file of {length} bytes that its record describes.")
    record["size"] = size
    return record


def look(inputs: dict[str, Any], **_: bool) -> dict[str, Any]:
    """Return the record of a backup that would fit, without reading all of it."""
    record, found = record_of(inputs), devices.look(inputs["device"], inputs["serial"])
    if found.size and found.size != record["size"]:
        raise devices.DeviceError(f"{inputs['file']} is of {record['size']} bytes, the device has {found.size}.")
    return record


def restore(inputs: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """Write the content back and read it once more; nothing is written before the backup proved to be right.

    `check` writes nothing, and leaves the content of the backup unread.
    """
    record = record_of(inputs)
    file, tool = Path(inputs["file"]), str(record["tool"])
    wanted = (record["size"], record["sha256"])
    if not check and digest(unpacked(file, tool)) != wanted:
        raise devices.DeviceError(
            f"{file} is damaged: its content hasn't the sha256 of its record. Nothing was written."
        )
    found = free_device(inputs)
    if found.size != record["size"]:
        raise devices.DeviceError(
            f"{file} is of {record['size']} bytes, the device has {found.size}. Nothing was written."
        )
    if check:
        return record
    with opened(found, os.O_RDWR) as target:
        place = 0
        for block in unpacked(file, tool):
            written = 0
            while written < len(block):
                written += os.pwrite(target, block[written:], place + written)
            place += written
        os.fsync(target)
        fcntl.ioctl(target, BLKFLSBUF)  # what is read next comes from the disk
        if digest(content(target, found.size)) != wanted:
            raise devices.DeviceError(
                f"what was written to {inputs['device']} isn't what reads back: the disk is broken."
            )
        with contextlib.suppress(OSError):  # a disk that can't have partitions
            fcntl.ioctl(target, BLKRRPART)
    return record


VERBS: dict[str, Callable[..., dict[str, Any]]] = {"saved": save, "restored": restore, "there": look}
NOUNS = {"saved": "save", "restored": "restore", "there": "check"}


def main() -> None:
    """Do what makes the state true, or say why not."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["there", "saved", "restored"], "default": "there"},
            "device": text,
            "serial": text,
            "directory": {"type": "str"},
            "file": {"type": "str"},
        },
        required_if=[("state", "saved", ["directory"]), ("state", "restored", ["file"]), ("state", "there", ["file"])],
        supports_check_mode=True,
    )
    inputs, state = module.params, module.params["state"]
    try:
        with interruptible():
            record = VERBS[state](inputs, check=module.check_mode)
    except devices.DeviceError as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        where = printable(problem.filename or inputs["device"])
        module.fail_json(msg=f"{NOUNS[state]} of {inputs['device']} failed: {where}: {problem.strerror}.")
    except Interrupted as end:
        module.fail_json(msg=f"{NOUNS[state]} of {inputs['device']} was ended by {end}.")
    module.exit_json(changed=state != "there", backup=record)


if __name__ == "__main__":
    main()
