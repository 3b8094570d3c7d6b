"""The second device of a target that has one: where it is, for whatever carries the target's filesystem.

Each image that is on a loop device then has another one beside it, IMAGE.second, on a loop device of its own. A link
with the name of the first device leads to the second, so that a script that names the one knows the other.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

LINKS = Path("/run/vexlab-second-device")
SIZE = LINKS / "size"  # a file; no loop device has that name


def set_up(size: int) -> None:
    """From now on each image has a second one of so many bytes, or none."""
    if size:
        LINKS.mkdir(exist_ok=True)
        SIZE.write_text(str(size))
    else:
        SIZE.unlink(missing_ok=True)


def size() -> int:
    """Bytes of each second device; 0 when the target has none."""
    try:
        return int(SIZE.read_text())
    except FileNotFoundError:
        return 0


def image_of(image: str) -> str:
    """The file of the second device, beside an image."""
    return f"{image}.second"


def link_of(device: str) -> str:
    """Where the second device of a device is found."""
    return str(LINKS / os.path.basename(device))


def of(device: str) -> str:
    """The second device of a loop device, or of the one that a mapping is made of; empty when there is none.

    What is no such device, as a mount of it has to find out, is given that of another one.
    """
    if not size():
        return ""
    name = os.path.basename(os.path.realpath(device))
    below = [f"/dev/{path.name}" for path in Path(f"/sys/class/block/{name}/slaves").glob("*")]
    if below:
        return of(below[0])
    own = link_of(name)
    return own if os.path.lexists(own) else max(map(str, LINKS.glob("loop*")), default=own)


def exports(device: str) -> str:
    """The beginning of a script: $DEVICE is this device, and $SECOND_DEVICE what belongs to it."""
    words = f"DEVICE={shlex.quote(device)}; export DEVICE; "
    second = of(device)
    return f"{words}SECOND_DEVICE={shlex.quote(second)}; export SECOND_DEVICE; " if second else words
