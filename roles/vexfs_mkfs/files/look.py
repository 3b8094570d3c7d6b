#!/usr/bin/env python3
"""Tell whether a device or image may be formatted, and format a device; standard library only.

Usage: look.py look|format JSON, with {"device", "serial", "overwrite", "own", "image", "size_mb", "command",
"force_command", "label", "made_by", "directory"} as role vexfs_mkfs has them.

`look` reads only, and prints {"current", "stamp", "device", "refusals"}: `refusals` are sentences,
`current` says that the image is already what the inputs ask for. `format` looks at the device once more and formats it
in the same breath; it prints {"error"} and ends with 1 when it refuses or the command fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from plugins.module_utils import device as devices


def image_refusals(image: str) -> list[str]:
    """Why an image file may not be made anew."""
    path = Path(image)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return ["it is not a regular file"]
    kernel, refusals = devices.Kernel(), []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # the loop device may go away while we look
            if backing.read_text().strip() == str(path):
                number = (backing.parent.parent / "dev").read_text().strip()
                where = [point for one, point in kernel.mounts() if one == number]
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


def look(inputs: dict[str, Any]) -> dict[str, Any]:
    """What role vexfs_mkfs decides by."""
    found, refusals = None, []
    if inputs["device"]:
        found = devices.look(inputs["device"], inputs["serial"], inputs["own"])
        refusals = [said] if (said := devices.refusal(found, inputs["overwrite"])) else []
    else:
        refusals = image_refusals(inputs["image"])
    wanted = stamp(inputs)
    return {
        "current": not inputs["device"] and is_current(Path(inputs["image"]), wanted, inputs["size_mb"]),
        "stamp": wanted,
        "device": dataclasses.asdict(found) if found else {},
        "refusals": refusals,
    }


def format_device(inputs: dict[str, Any]) -> dict[str, Any]:
    """Look once more, and format; the device stays open, so that what was looked at is what is written."""
    with devices.held(inputs["device"]):
        found = devices.look(inputs["device"], inputs["serial"], inputs["own"])
        if said := devices.refusal(found, inputs["overwrite"]):
            raise devices.DeviceError(f"{inputs['device']} is not formatted: {said}.")
        command = inputs["command"]
        if found.signatures:
            # What is at the end of the device, such as the second table of GPT, no mkfs would reach.
            devices.output(["wipefs", "--quiet", "--all", found.path])
            command = inputs["force_command"] or command
        environment = os.environ | {"DEVICE": found.path, "LABEL": inputs["label"]}
        done = subprocess.run(
            ["sh", "-euc", command], cwd=inputs["directory"], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout or "it printed nothing").strip()
        raise devices.DeviceError(f"`{command}` failed with exit code {done.returncode}: {said}")
    return {"path": found.path}


def main() -> int:
    """Run one verb; the answer is one JSON line on stdout."""
    verb, inputs = sys.argv[1], json.loads(sys.argv[2])
    try:
        answer = format_device(inputs) if verb == "format" else look(inputs)
    except (devices.DeviceError, OSError) as problem:
        print(json.dumps({"error": str(problem)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
