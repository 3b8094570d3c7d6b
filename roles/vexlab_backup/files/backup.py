#!/usr/bin/env python3
"""Back a block device up into a file, and put it back; standard library only.

Usage: backup.py save|restore|check JSON, with {"device", "serial", "directory", "file"} as role vexlab_backup has them.

A backup is a compressed image, FILE, and FILE.json with what it is of and the sha256 of the device's content. The
record is written last, when the image was read back and found right: an image without it is no backup. The last line
on stdout is a JSON object: the record, or, with exit code 1, {"error"}.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugins.module_utils import device as devices

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
        assert process.stdout is not None
        while block := process.stdout.read(STEP):
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


def save(inputs: dict[str, Any]) -> dict[str, Any]:
    """Write the image, read it back, then write the record."""
    found = free_device(inputs)
    directory = Path(inputs["directory"])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < found.size + MARGIN:
        raise devices.DeviceError(
            f"{directory} has {free >> 20} MiB free, and a backup of {inputs['device']} may take "
            f"{found.size >> 20} MiB: name another directory."
        )
    tool = "zstd" if shutil.which("zstd") else "gzip"
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", inputs["serial"])
    file = directory / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}.img.{'zst' if tool == 'zstd' else 'gz'}"
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
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
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
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for block in blocks:
                process.stdin.write(block)
                total.update(block)
                length += len(block)
            process.stdin.close()
        except BrokenPipeError:
            pass  # its own words come below
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = process.stderr.read().decode(errors="replace").strip()
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


def check(inputs: dict[str, Any]) -> dict[str, Any]:
    """Whether there is a backup that would fit, without reading all of it."""
    record, found = record_of(inputs), devices.look(inputs["device"], inputs["serial"])
    if found.size and found.size != record["size"]:
        raise devices.DeviceError(f"{inputs['file']} is of {record['size']} bytes, the device has {found.size}.")
    return record


def restore(inputs: dict[str, Any]) -> dict[str, Any]:
    """Write the content back and read it once more; nothing is written before the backup proved to be right."""
    record = record_of(inputs)
    file, tool = Path(inputs["file"]), str(record["tool"])
    wanted = (record["size"], record["sha256"])
    if digest(unpacked(file, tool)) != wanted:
        raise devices.DeviceError(
            f"{file} is damaged: its content hasn't the sha256 of its record. Nothing was written."
        )
    found = free_device(inputs)
    if found.size != record["size"]:
        raise devices.DeviceError(
            f"{file} is of {record['size']} bytes, the device has {found.size}. Nothing was written."
        )
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


def main() -> int:
    """Run one verb; the answer is one JSON line on stdout."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    verb, inputs = {"save": save, "restore": restore, "check": check}[sys.argv[1]], json.loads(sys.argv[2])
    try:
        answer = verb(inputs)
    except devices.DeviceError as problem:
        print(json.dumps({"error": str(problem)}))
        return 1
    except OSError as problem:
        where = problem.filename or inputs["device"]
        print(json.dumps({"error": f"{sys.argv[1]} of {inputs['device']} failed: {where}: {problem.strerror}."}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
