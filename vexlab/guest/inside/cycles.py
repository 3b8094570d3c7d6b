"""Loaded and unloaded, mounted and unmounted, again and again."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import load, mount, open_and_close, read, references, registered, umount, unload, write


def load_and_unload(cycles: int, path: str, parameters: str, module: str, kind: str) -> None:
    """Load and unload the module; after each its filesystem type is known, and isn't."""
    for cycle in range(1, cycles + 1):
        load(path, parameters)
        known, uses = registered(kind), references(module)
        assert known and not uses, f"cycle {cycle}: registered: {known}, use count: {uses}"
        unload(module)
        left = registered(kind) or os.path.exists(f"/sys/module/{module}")
        assert not left, f"cycle {cycle}: unloaded, and still there"


def mount_and_unmount(fs: Filesystem, cycles: int, module: str, options: Sequence[str], keeps: bool) -> None:
    """Mount with these options by turns, and unmount; with `keeps`, what one mount wrote is there in the next."""
    before, wrote, file = references(module), "", f"{fs.point}/cycle"
    for cycle in range(1, cycles + 1):
        chosen = options[cycle % len(options)]
        came = outcome(mount, fs.device, fs.point, fs.kind, chosen)
        assert came == "done", f"cycle {cycle}: mount with {chosen}: {came}"
        if keeps and wrote:
            assert read(file) == wrote, f"cycle {cycle}: what the last writable mount wrote is gone"
        if "ro" not in chosen.split(","):
            wrote = f"{cycle}" * 1000
            write(file, wrote)
        left = outcome(umount, fs.point)
        assert left == "done", f"cycle {cycle}: unmount: {left}"
        uses = references(module)
        assert uses == before, f"cycle {cycle}: the use count went from {before} to {uses}"


def remount(fs: Filesystem, cycles: int, read_only: str, writable: str) -> None:
    """Remount read-only and back; no file can be opened for writing in between, and what was written is there."""
    file = f"{fs.point}/cycle"
    for cycle in range(1, cycles + 1):
        write(file, str(cycle))
        came = outcome(mount, "none", fs.point, fs.kind, f"remount,{read_only}")
        assert came == "done", f"cycle {cycle}: remount with {read_only}: {came}"
        opened = outcome(open_and_close, file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        assert opened != "done", f"cycle {cycle}: a file could be opened for writing after a remount with {read_only}"
        assert opened == "EROFS", f"cycle {cycle}: opening a file for writing was refused with {opened}, not with EROFS"
        assert read(file) == str(cycle), f"cycle {cycle}: the content is gone"
        came = outcome(mount, "none", fs.point, fs.kind, f"remount,{writable}")
        assert came == "done", f"cycle {cycle}: remount with {writable}: {came}"


def refused(fs: Filesystem, cycles: int, module: str, options: Sequence[str]) -> None:
    """Try to mount with these options by turns, which must be refused and leave the use count as it is."""
    before = references(module)
    for cycle in range(1, cycles + 1):
        chosen = options[cycle % len(options)]
        came = outcome(mount, fs.device, fs.point, fs.kind, chosen)
        assert came != "done", f"cycle {cycle}: it was mounted with {chosen}"
        uses = references(module)
        assert uses == before, f"cycle {cycle}: the use count went from {before} to {uses}"
