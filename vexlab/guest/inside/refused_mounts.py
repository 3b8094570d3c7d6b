"""Mounts that must not be, and mounts on top of mounts."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.attempts import outcome, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import mount, mounts, open_and_close, read, references, umount, write

# How a device gets its content: a program is needed for another filesystem only.
CONTENTS: dict[str, Callable[[Filesystem], object]] = {
    "zeros": lambda _fs: None,
    "another filesystem": lambda fs: shell(f"mke2fs -q -F -t ext4 {fs.device}"),
    "noise": lambda fs: write(fs.device, os.urandom(1 << 20)),
}


def other_content(fs: Filesystem, size: int, content: str, module: str) -> list[Any]:
    """Try to mount a device with another content, read-only and writable.

    What came of both, and the module's use count and the image's digest before and after.
    """

    def state() -> list[Any]:
        return [references(module), fs.digest()]

    fs.create(size)
    CONTENTS[content](fs)
    before = state()
    came = [outcome(fs.mount, fs.read_only_options), outcome(fs.mount)]
    return [came, before, state()]


def one_sector(fs: Filesystem) -> str:
    """What comes of a mount of a device of one sector."""
    fs.create(512)
    return outcome(fs.mount, fs.read_only_options)


def missing_device(fs: Filesystem) -> str:
    """What comes of a mount of a device that isn't there."""
    return outcome(mount, f"{fs.device}-missing", fs.point, fs.kind, fs.options)


def unknown_option(fs: Filesystem) -> list[Any]:
    """What comes of a mount with an option that nobody knows, and what is mounted then."""
    came = outcome(fs.mount, f"{fs.options},vexlab-no-such-option")
    return [came, mounts(fs.point)]


def on_a_file(fs: Filesystem) -> str:
    """What comes of a mount on a file."""
    return outcome(mount, fs.device, "/etc/hostname", fs.kind, fs.options)


def second_mount(fs: Filesystem) -> str:
    """What a second mount shows of a file that the first one made; `seen` too when there is none."""
    second = f"{fs.point}-second"
    os.makedirs(second, exist_ok=True)
    fs.mount()
    try:
        seen = "seen"
        if outcome(mount, fs.device, second, fs.kind, fs.options) == "done":
            write("file", "seen")
            seen = read(f"{second}/file")
            umount(second)
        write("other", "on")
        return seen
    finally:
        for _ in mounts(second):
            umount(second)
        os.rmdir(second)
        fs.unmount()


def read_only_device_remounted(fs: Filesystem, device: str) -> list[str]:
    """Mount a device that can't be written, and remount it for writing: what came of that and of a write."""
    fs.device = device
    fs.mount(fs.read_only_options)
    came = outcome(mount, "none", fs.point, fs.kind, f"remount,{fs.options}")
    wrote = outcome(open_and_close, "new", os.O_CREAT | os.O_WRONLY)
    fs.unmount()
    return [came, wrote]


def mounted_twice(fs: Filesystem) -> list[Any]:
    """Mount a device once more, on the same directory and, read-only, elsewhere.

    What each of the two showed, or came to; and what is there when both are gone and the device is mounted anew.
    """
    fs.mount()
    write("first", "first")
    os.chdir("/")
    second = fs.point + "-second"
    os.makedirs(second, exist_ok=True)
    seen = []
    for point, options in ((fs.point, fs.options), (second, fs.read_only_options)):
        came = outcome(mount, fs.device, point, fs.kind, options)
        seen.append(read(f"{point}/first") if came == "done" else came)
        if came == "done":
            umount(point)
    os.rmdir(second)
    write(f"{fs.point}/second", "second")
    fs.remount()
    kept = sorted(set(os.listdir(fs.point)) & {"first", "second"})
    fs.unmount()
    return [*seen, kept]
