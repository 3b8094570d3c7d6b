"""What each part of stage stress begins and ends with."""

from __future__ import annotations

from inside.attempts import shell
from inside.filesystem import Filesystem
from inside.system import references, unload


def begin(fs: Filesystem, size: int, mkfs: str) -> str:
    """Make a device of so many bytes, format and mount it; returns the device."""
    device = fs.create(size)
    shell(f"DEVICE={device}; export DEVICE; {mkfs}")
    fs.mount()
    return device


def end(fs: Filesystem, module: str) -> int:
    """Take all down and unload the module if it is idle; how many uses the kernel counts."""
    fs.remove()
    uses = references(module)
    if not uses:
        unload(module)
    return uses
