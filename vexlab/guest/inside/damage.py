"""Breaks a device in one way, tries to mount it, and tells what came of it.

It changes the device through the device: so the kernel's cache of it is right.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import struct
from collections.abc import Callable, Collection
from typing import Any

from vexlab.guest.inside import second_device
from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import digest
from vexlab.guest.inside.system import mount, mounts, put, references, syncfs, umount, write

BLKZEROOUT = 0x127F
CHUNK = 1 << 20


def restore(device: str, master: str) -> None:
    """Give the device, and its second one, the master's content."""
    overwrite(device, master)
    if second := second_device.of(device):
        overwrite(second, second_device.image_of(master))


def overwrite(device: str, master: str) -> None:
    """Write zeros to a device, then what isn't a hole in a file."""
    source, target = os.open(master, os.O_RDONLY), os.open(device, os.O_RDWR)
    fcntl.ioctl(target, BLKZEROOUT, struct.pack("QQ", 0, os.lseek(target, 0, os.SEEK_END)))
    end = 0
    while True:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError:
            break  # only a hole is left
        end = os.lseek(source, start, os.SEEK_HOLE)
        for place in range(start, end, CHUNK):
            os.pwrite(target, os.pread(source, min(CHUNK, end - place), place), place)
    os.fsync(target)
    os.close(target)
    os.close(source)


def patch(device: str, place: int, how: str, wanted: bytes) -> None:
    """Write bytes to the device, or XOR the ones that are there."""
    target = os.open(device, os.O_RDWR)
    if how == "flip":
        wanted = bytes(a ^ b for a, b in zip(os.pread(target, len(wanted), place), wanted, strict=True))
    os.pwrite(target, wanted, place)
    os.fsync(target)
    os.close(target)


def read_all(point: str) -> dict[str, Callable[[], object]]:
    """Ways to look at everything that is mounted, by name; each may raise OSError."""

    def walk() -> None:
        for seen, (root, directories, files) in enumerate(os.walk(point, onerror=complain)):
            for name in directories + files:
                os.lstat(os.path.join(root, name))
            if seen > 1000:
                raise OSError(errno.ELOOP, "the tree has no end")

    def complain(problem: OSError) -> None:
        raise problem

    def read(name: str) -> bytes:
        with open(f"{point}/{name}", "rb") as file:
            return file.read()

    return {
        "statfs": lambda: os.statvfs(point),
        "list": lambda: os.listdir(point),
        "walk": walk,
        "read file": lambda: read("file"),
        "read inner": lambda: read("directory/inner"),
        "read link": lambda: os.readlink(f"{point}/link"),
    }


def write_all(point: str) -> dict[str, Callable[[], object]]:
    """Ways to change what is mounted, by name; each may raise OSError."""

    def put_and_sync(name: str, flag: int) -> None:
        descriptor = os.open(f"{point}/{name}", os.O_WRONLY | os.O_CREAT | flag)
        try:
            put(descriptor, b"x" * 70000)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    return {
        "create": lambda: put_and_sync("new", os.O_EXCL),
        "append": lambda: put_and_sync("file", os.O_APPEND),
        "truncate": lambda: os.truncate(f"{point}/file", 10),
        "make directory": lambda: os.mkdir(f"{point}/made"),
        "rename": lambda: os.rename(f"{point}/new", f"{point}/renamed"),
        "unlink": lambda: os.unlink(f"{point}/file"),
    }


def use(point: str, writable: bool) -> dict[str, str]:
    """Do all of it; for what failed, the errno. Whatever is refused is right, as long as the kernel survives."""
    failed = {}
    for name, attempt in {**read_all(point), **(write_all(point) if writable else {})}.items():
        try:
            attempt()
        except OSError as problem:
            failed[name] = errno.errorcode.get(problem.errno or 0, str(problem))
    if (synced := outcome(syncfs, point)) != "done":
        failed["syncfs"] = synced
    return failed


def attempt(order: dict[str, Any], options: str) -> dict[str, Any]:
    """Mount with these options, use what got mounted, unmount."""
    done = outcome(mount, order["device"], order["point"], order["type"], options)
    report: dict[str, Any] = {"options": options, "mount": done, "failed": {}, "unmount": "done"}
    if done == "done":
        report["failed"] = use(order["point"], "ro" not in options.split(","))
        report["unmount"] = outcome(umount, order["point"])
    return report


def trial(order: dict[str, Any]) -> dict[str, Any]:
    """Break the device and try it: the order is what Corruptible.trial makes, the answer the `Outcome` beside that."""
    write("/dev/kmsg", f"vexlab: trial {order['name']}\n")  # the console tells which trial a crash belongs to
    for _ in mounts(order["point"]):
        umount(order["point"])  # left by a check that failed
    if order["master"]:
        restore(order["device"], order["master"])
    for place, how, wanted in order["patches"]:
        patch(order["device"], place, how, bytes.fromhex(wanted))
    begin = f"cd {shlex.quote(order['directory'])}; {second_device.exports(order['device'])}"
    for command in order["commands"]:
        shell(begin + command)
    before, content = references(order["module"]), digest(order["image"]) if order["image"] else ""
    attempts = [attempt(order, options) for options in order["mounts"]]
    changed = bool(order["image"]) and digest(order["image"]) != content
    counts = [before, references(order["module"])]
    return {"attempts": attempts, "references": counts, "changed": changed}


def fill(fs: Filesystem, can: Collection[str]) -> None:
    """Make what is on it when damage is done: docs/targets.md promises this to the commands that do it."""
    write("file", (b"vexlab" * 20000)[: most(fs, "file_bytes", 120_000)])
    if "directories" in can:
        os.mkdir("directory")
        write("directory/inner", "inner")
    if "symbolic-links" in can:
        os.symlink("file", "link")
