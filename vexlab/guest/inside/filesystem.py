"""A scratch filesystem, seen from the guest."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vexlab.guest.inside import around_mounts, disk, second_device
from vexlab.guest.inside.attempts import ended, shell
from vexlab.guest.inside.calls import named
from vexlab.guest.inside.fsck import examine
from vexlab.guest.inside.images import attach, bytes_at, copy, digest, discard, keep
from vexlab.guest.inside.system import mount, mounts, statfs, umount


def on(known: dict[str, Any], function: str, arguments: list[Any]) -> Any:
    """Call a function of this package on a scratch filesystem, in its mount point if that is there.

    `known` are the fields of Filesystem, `function` is a name as `inside.calls` makes it.
    """
    fs = Filesystem(**known)
    if os.path.isdir(fs.point):
        os.chdir(fs.point)
    try:
        return named(function)(fs, *arguments)
    finally:
        if state := fs.unfit():
            sys.stdout.write(f"{UNFIT}{state}\n")


FEW_BYTES, FEW_FILES = 16 << 20, 200  # with more left than this, a check has what it needs
MEASURED = "vexlab limit: "  # begins one that tells a limit and a number: what checks later on are judged by
UNFIT = "vexlab unfit: "  # begins a line of output that says in what state the next check would find a filesystem


@dataclass
class Filesystem:
    """A scratch filesystem: what scratch.py on the other side knows of it, and what is done with it here.

    `disk` is of a test on a device: its name and serial number. `persistent`: the target is to keep what is written.
    `shape` is block, none or directory; `source` is what is mounted, if that is no device. `fsck` is a script, which
    looks at $DEVICE after each unmount of what could be written; empty for a filesystem that has none, or may be wrong.
    `around_mounts` are the commands that the target has run around each mount.
    `second_size`: bytes of the second device, 0 for a target without one.
    `room_returns_seconds`: within how many of them the room of a removed file is free again.
    `can` is what the target claims, `limits` how far that goes, as far as it says so.
    """

    image: str
    point: str
    device: str
    kind: str
    options: str
    read_only_options: str
    persistent: bool
    shape: str
    source: str
    disk: list[str]
    fsck: str = ""
    room_returns_seconds: int = 30
    second_size: int = 0
    around_mounts: dict[str, str] = field(default_factory=dict)
    can: list[str] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)

    def unfit(self) -> str:
        """In which state a mounted filesystem is that is no good for a check, in words; empty of one that is fit.

        Small ones are so before they are full: with less than half of their room, files or entries of the root left.
        """
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            mount, superblock = (part.split() for part in line.split(" - "))
            if mount[4] == self.point and mount[5].split(",")[0] == "rw" and superblock[2].split(",")[0] == "ro":
                return "read-only"
        if not os.path.ismount(self.point):
            return ""
        try:
            seen = statfs(self.point)
            # Only where it matters: to list a directory has its access time written.
            most = [int(self.limits[name]) for name in ("directory_entries", "files") if name in self.limits]
            entries = len(os.listdir(self.point)) if most else 0
        except OSError as problem:
            return f"broken ({errno.errorcode.get(problem.errno or 0, str(problem))})"
        if 0 < seen.f_files < FEW_FILES:
            sys.stdout.write(f"{MEASURED}files {seen.f_files}\n")
        room, size = seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize
        if size and room < min(FEW_BYTES, size // 2):
            return f"with {room} bytes of room"
        if seen.f_files and seen.f_ffree < min(FEW_FILES, seen.f_files // 2):
            return f"with room for {seen.f_ffree} files"
        return f"with {entries} entries in its root" if most and entries > min(most) // 2 else ""

    def create(self, size: int, read_only: bool = False, master: str = "") -> str:
        """Make everything anew, with what the file `master` holds, or without a filesystem; returns the loop device."""
        around_mounts.set_up(self.kind, self.around_mounts)
        second_device.set_up(self.second_size)
        self.remove()
        os.makedirs(self.point)
        if self.shape != "block":
            if self.shape == "directory":
                os.mkdir(self.source)
            self.device = self.source
            return self.device
        if self.disk:
            self.device = self.map(size, read_only=read_only)
            copy(master, self.image)
            return self.device
        with open(self.image, "wb") as file:
            file.truncate(size)
        copy(master, self.image)
        if master and self.second_size:
            keep(second_device.image_of(master), second_device.image_of(self.image))
        self.device = attach(self.image, read_only=read_only)
        return self.device

    def keep(self, master: str) -> None:
        """Make the file `master` of what is on the device now."""
        self.flush()
        keep(self.image, master)

    def flush(self) -> None:
        """Have what was written to the device, and to its second one, be there."""
        for path in filter(None, (self.device, second_device.of(self.device))):
            with open(path, "rb") as device:
                os.fsync(device)

    def map(self, size: int, *, read_only: bool = False) -> str:
        """The first so many bytes of the device under test, all zeros, as a device of their own."""
        name = os.path.basename(self.image)
        with disk.held(*self.disk) as path:
            table = f"0 {size // 512} linear {path} 0"
            shell(f"dmsetup create {name} --table '{table}'; blkdiscard --zeroout {self.image}")
            if read_only:
                shell(f"dmsetup remove --retry {name}; dmsetup create --readonly {name} --table '{table}'")
        return self.image

    def remove(self) -> None:
        """Take everything down, what an interrupted run left too; fails when the filesystem doesn't let go."""
        os.chdir("/")
        for _ in mounts(self.point):
            umount(self.point)
        if self.shape == "directory" and os.path.isdir(self.source):
            shutil.rmtree(self.source)
        if self.disk and os.path.exists(self.image):
            shell(f"dmsetup remove --retry {os.path.basename(self.image)}")
        elif self.shape == "block" and not self.disk:
            discard(self.image)
        if os.path.isdir(self.point):
            os.rmdir(self.point)  # not rmtree: a mount that is still there must not be emptied

    def end(self) -> None:
        """Take everything down, when what is mounted was unmounted and found right."""
        try:
            if mounts(self.point):
                self.unmount()
        finally:
            self.remove()

    def mount(self, options: str = "") -> None:
        """Mount it and go there; as writable as the target claims to be when no options are given."""
        mount(self.device, self.point, self.kind, options or self.options)
        os.chdir(self.point)

    def unmount(self) -> None:
        """Leave it and unmount it; nothing may be busy, and it must be right if it could be written."""
        os.chdir("/")
        written = "rw" in [options.split(",")[0] for _, _, options in mounts(self.point)]
        umount(self.point)
        if self.fsck and written and not mounts(self.point):
            examine(self.device, self.fsck)

    def remount(self) -> None:
        """Unmount and mount again: what is on disk instead of what is in memory, if the target is to keep it."""
        if self.persistent:
            self.unmount()
            self.mount()

    def digest(self) -> str:
        """Size and hash of the whole image, for telling whether a byte of it changed; empty without a device.

        Those of the second device too, if there is one.
        """
        if self.shape != "block":
            return ""
        found = self.first_digest()
        return f"{found} {digest(second_device.image_of(self.image))}" if self.second_size else found

    def first_digest(self) -> str:
        """The same of the first device alone: a command that formats both may have done the second one already."""
        self.flush()
        return digest(self.image)

    def bytes_at(self, offset: int, length: int) -> str:
        """What is on the device, as hexadecimal digits."""
        return bytes_at(self.device, offset, length)

    def fsck_ended(self) -> list[Any]:
        """Run fsck on it: exit code and streams, and whether the image is byte for byte what it was."""
        return self.mkfs_under(second_device.exports(self.device) + self.fsck, False)

    def mkfs_under(self, mkfs: str, held: bool) -> list[Any]:
        """Run mkfs on it; with `held` somebody has the device to themselves meanwhile, as a volume manager would.

        Exit code and streams of mkfs, and whether the image is byte for byte what it was.
        """
        before = self.first_digest()
        holder = os.open(self.device, os.O_RDONLY | os.O_EXCL) if held else None
        done = ended(mkfs)
        if holder is not None:
            os.close(holder)
        return [*done, self.first_digest() == before]
