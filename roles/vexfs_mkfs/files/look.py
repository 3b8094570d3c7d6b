#!/usr/bin/env python3
"""Tell whether a device or image may be formatted; standard library only, reads only.

Usage: look.py JSON, with {"device", "image", "size_mb", "command", "label", "made_by"} as role vexfs_mkfs has them.

Prints {"virtualisation", "current", "stamp", "signature", "refusals"}: `refusals` are sentences that can't be
overridden, `current` says that the image is already what the inputs ask for. A question that can't be answered is an
error, never "free".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any


def output(command: list[str], allowed: tuple[int, ...] = (0,)) -> str:
    """What a command printed; any other exit code than the allowed ones ends the look."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        sys.exit(f"could not tell: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def device_of(path: str) -> str:
    """MAJOR:MINOR of a block device."""
    number = Path(path).stat().st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def mounts_of(number: str) -> list[str]:
    """Mount points of the device in this mount namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[2] == number]


def device_refusals(device: str) -> list[str]:
    """Why a whole disk may not be formatted."""
    try:
        path = os.path.realpath(device, strict=True)
    except OSError:
        return ["there is no such device"]
    if not stat.S_ISBLK(Path(path).stat().st_mode):
        return ["it is not a block device"]
    number, refusals = device_of(path), []
    system = Path("/sys/dev/block") / number
    if (system / "partition").exists():
        refusals.append("it is a partition, not a whole device")
    if (system / "ro").read_text().strip() != "0":
        refusals.append("it is read-only")
    family = [number, *(entry.read_text().strip() for entry in system.glob("*/dev"))]
    if len(family) > 1:
        refusals.append(f"it has {len(family) - 1} partitions")
    refusals += [f"it is mounted at {where}" for part in family for where in mounts_of(part)]
    if holders := sorted(entry.name for entry in system.glob("holders/*")):
        refusals.append(f"it is held by {', '.join(holders)}")
    swaps = [os.path.realpath(line.split()[0]) for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    if path in swaps:
        refusals.append("it is used as swap")
    root = output(["findmnt", "--noheadings", "--output", "MAJ:MIN", "--target", "/"])
    if root.split()[0] in family:
        refusals.append("it holds the root filesystem")
    if not refusals:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL))
        except OSError as problem:
            refusals.append(f"it is in use ({problem.strerror})")
    return refusals


def image_refusals(image: str) -> list[str]:
    """Why an image file may not be made anew."""
    path = Path(image)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return ["it is not a regular file"]
    refusals = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # the loop device may go away while we look
            if backing.read_text().strip() == str(path):
                where = mounts_of((backing.parent.parent / "dev").read_text().strip())
                what = f"mounted at {', '.join(where)}" if where else f"attached to {backing.parent.parent.name}"
                refusals.append(f"it is {what}; unmount it first")
    return refusals


def stamp(inputs: dict[str, Any]) -> str:
    """What an image was made from, as one hash."""
    made_by = Path(inputs["made_by"]) if inputs["made_by"] else None
    content = made_by.read_bytes() if made_by and made_by.is_file() else b""
    settings = json.dumps([inputs["command"], inputs["label"], inputs["size_mb"]])
    return hashlib.sha256(settings.encode() + content).hexdigest()


def is_current(image: Path, wanted: str, size_mb: int) -> bool:
    """Whether the image file is the one that the inputs ask for."""
    try:
        known = json.loads(Path(f"{image}.json").read_text())
        return bool(known["stamp"] == wanted and image.stat().st_size == size_mb << 20)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def main() -> None:
    """Look, and print what was seen."""
    inputs = json.loads(sys.argv[1])
    device, image = inputs["device"], inputs["image"]
    wanted = stamp(inputs)
    signature = ""
    refusals = device_refusals(device) if device else image_refusals(image)
    if device and not refusals:
        signature = output(["wipefs", "--noheadings", "--output", "TYPE,LABEL", device])
    answer = {
        "virtualisation": output(["systemd-detect-virt"], allowed=(0, 1)) or "unknown",
        "current": not device and is_current(Path(image), wanted, inputs["size_mb"]),
        "stamp": wanted,
        "signature": " ".join(signature.split()),
        "refusals": refusals,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
