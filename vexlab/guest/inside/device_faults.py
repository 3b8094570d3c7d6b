"""A device that fails while it is mounted, by way of the device mapper."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome, outcomes, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import mounts, put, read, references, syncfs, umount, write

NAME = "vexlab-corruptible"


def dmsetup(words: str) -> None:
    """dmsetup(8). udev has no part in this, and waiting for it takes longer than all the rest."""
    shell(f"dmsetup --noudevrules --noudevsync {words}")


def create(table: str) -> str:
    """Make a device with this table; returns it."""
    dmsetup(f"create {NAME} --table '{table}'")
    [name] = [path.parts[3] for path in Path("/sys/block").glob("dm-*/dm/name") if read(str(path)).strip() == NAME]
    return f"/dev/{name}"


def becomes(table: str) -> None:
    """Give the device another table at once, as xfstests do: without having the filesystem write anything before."""
    dmsetup(f"load {NAME} --table '{table}'")
    dmsetup(f"resume --noflush --nolockfs {NAME}")


def remove(fs: Filesystem) -> None:
    """Unmount and remove the device; fails when the filesystem still holds it."""
    os.chdir("/")
    for _ in mounts(fs.point):
        umount(fs.point)
    dmsetup(f"remove --retry {NAME}")


def read_file() -> bytes:
    """What is in the file."""
    with open("file", "rb") as file:
        return file.read()


def write_and(sync: Callable[[int], None], name: str) -> None:
    """Write 100,000 bytes to a file, or as many as it takes at once, and have them synced."""
    descriptor = os.open(name, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, bytes(100000))
    sync(descriptor)


# What is tried on a device that fails, on which there are `file` and `kept`.
USES: dict[str, Callable[[], object]] = {
    "list": lambda: os.listdir("."),
    "read": read_file,
    "write and fsync": lambda: write_and(os.fsync, "new"),
    "overwrite and fdatasync": lambda: write_and(os.fdatasync, "file"),
    "make a directory": lambda: os.mkdir("made"),
    "rename": lambda: os.rename("file", "renamed"),
    "unlink": lambda: os.unlink("kept"),
    "truncate": lambda: os.truncate("kept", 1),
}
READS = {name: USES[name] for name in ("list", "read")}


def forget_cache() -> None:
    """Have the kernel drop what it has read and needn't keep."""
    write("/proc/sys/vm/drop_caches", "3")


def uses_in_a_fork() -> dict[str, str]:
    """What comes of USES, in a process that takes the files that it opened along when it ends."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(tell, json.dumps(outcomes(USES)).encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    with os.fdopen(told) as answer:
        came: dict[str, str] = json.loads(answer.read())
    return came


def fail_under_a_writable_mount(fs: Filesystem, device: str, module: str, fails: str, works: str) -> list[Any]:
    """Have a device fail and work again while it is mounted.

    What came of each use; what had been synced before; what came of an fsync(2) of what was written before the device
    failed, and whether that is there; the module's use count before and after. The last mount has to succeed.
    """
    fs.device = device
    before = references(module)
    fs.mount()
    write("kept", "kept")
    syncfs()
    forget_cache()
    content = "held" * (most(fs, "file_bytes", 100_000) // 4)
    held = os.open("held", os.O_CREAT | os.O_WRONLY)
    put(held, content.encode())
    becomes(fails)
    synced = outcome(os.fsync, held)
    os.close(held)
    came = uses_in_a_fork()
    fs.unmount()
    becomes(works)
    after = references(module)
    fs.mount()
    kept, there = (read(name) if os.path.exists(name) else "" for name in ("kept", "held"))
    fs.unmount()
    return [came, kept, synced, there == content, [before, after]]


def fail_under_a_read_only_mount(fs: Filesystem, device: str, module: str, fails: str, works: str) -> list[int]:
    """The same for a read-only mount, whose reads fail: the module's use count before and after."""
    fs.device = device
    before = references(module)
    fs.mount(fs.read_only_options)
    forget_cache()
    becomes(fails)
    outcomes(READS)
    fs.unmount()
    becomes(works)
    fs.mount(fs.read_only_options)
    for root, _, files in os.walk("."):
        for name in files:
            Path(root, name).read_bytes()
    fs.unmount()
    return [before, references(module)]
