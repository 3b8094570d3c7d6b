"""What the code of a check can use in the guest; agent.py has it ready before the first check.

System calls instead of programs: in an emulated guest mount(8) takes a quarter of a second and mount(2) a few
milliseconds. The names are those of the tools that people know. Each raises OSError with the path it was about.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from typing import Any

__all__ = ["errno", "json", "mmap", "stat"]  # for the code of checks

# linux/mount.h; what isn't here is the filesystem's own option
FLAGS = {
    "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "remount": 32, "dirsync": 128, "noatime": 1024,
    "nodiratime": 2048, "bind": 4096, "relatime": 1 << 21, "strictatime": 1 << 24,
}  # fmt: skip
# linux/loop.h
LOOP_CLR_FD, LOOP_SET_CAPACITY, LOOP_CONFIGURE, LOOP_CTL_GET_FREE = 0x4C01, 0x4C07, 0x4C0A, 0x4C82
LOOP_READ_ONLY = 1
BLKFLSBUF = 0x1261  # linux/fs.h
LOOP_CONFIG = struct.Struct("II 40x 4I 64s 112x 64x")  # descriptor, block size, loop_info64, reserved

libc = ctypes.CDLL(None, use_errno=True)
answers: list[str] = []


def answer(value: Any) -> None:
    """Give a value to the check on the other side; the last one counts."""
    answers[:] = [json.dumps(value)]


def check(result: int, *about: str) -> None:
    """Raise the errno of a libc call that failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), " on ".join(about))


def mount(device: str, point: str, kind: str, options: str = "") -> None:
    """mount(2), with options as mount(8) takes them."""
    words = [word for word in options.split(",") if word not in ("", "rw", "defaults")]
    flags = sum(FLAGS.get(word, 0) for word in words)
    data = ",".join(word for word in words if word not in FLAGS)
    check(libc.mount(device.encode(), point.encode(), kind.encode(), flags, data.encode() or None), device, point)


def umount(point: str, flags: int = 0) -> None:
    """umount2(2)."""
    check(libc.umount2(point.encode(), flags), point)


def mounts(point: str) -> list[list[str]]:
    """Device, type and options of each mount at a place, the uppermost last."""
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [[device, kind, options] for device, where, kind, options, *_ in fields if where == point]


def attach(image: str, *, read_only: bool = False) -> str:
    """Put an image file on a free loop device; returns the device."""
    with open("/dev/loop-control", "rb") as control, open(image, "rb" if read_only else "r+b") as file:
        # The image's name is what losetup shows.
        setup = LOOP_CONFIG.pack(file.fileno(), 0, 0, 0, 0, LOOP_READ_ONLY * read_only, image.encode()[:63])
        while True:
            device = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            with open(device, "rb" if read_only else "r+b") as loop:
                try:
                    fcntl.ioctl(loop, LOOP_CONFIGURE, setup)
                except OSError as problem:
                    if problem.errno == errno.EBUSY:  # somebody else was faster: the next one
                        continue
                    raise
            return device


def detach(device: str) -> None:
    """Free a loop device; while somebody has it open, the kernel does that later."""
    with open(device, "rb") as loop:
        fcntl.ioctl(loop, LOOP_CLR_FD)


def loops(image: str) -> list[str]:
    """The loop devices that an image is on."""
    found = []
    for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        try:
            if path.read_text().rstrip("\n") == image:
                found.append(f"/dev/{path.parts[3]}")
        except OSError:  # freed since it was listed
            continue
    return found


def blocks(image: str, step: int = 65536) -> Iterator[tuple[int, bytes]]:
    """Where a file differs from zero, and what is there: images are mostly holes, and reading those takes seconds.

    Of a mapping, what has reached the disk beneath it: the mapping's own cache has more, and to flush it writes that.
    """
    zeros, size = bytes(step), size_of(image)
    with open(beneath(image), "rb") as file:
        number, offset = file.fileno(), 0
        has_holes = stat.S_ISREG(os.fstat(number).st_mode)
        if not has_holes:
            fcntl.ioctl(number, BLKFLSBUF)  # what was read before may not be what is there now
        while offset < size:
            start, end = offset, size
            if has_holes:
                try:
                    start = os.lseek(number, offset, os.SEEK_DATA)
                except OSError:  # only a hole is left
                    return
                end = os.lseek(number, start, os.SEEK_HOLE)
            offset = max(offset, start - start % step)
            while offset < end:
                block = os.pread(number, min(step, size - offset), offset)
                if block != zeros[: len(block)]:
                    yield offset, block
                offset += step


def copy(image: str, to: str) -> None:
    """Write what an image holds to another that is all zeros; nothing for no image."""
    if image:
        with open(to, "r+b") as file:
            for offset, block in blocks(image):
                os.pwrite(file.fileno(), block, offset)
            os.fsync(file)


def beneath(path: str) -> str:
    """The disk that a mapping is the first part of; anything else is itself."""
    name = os.path.basename(os.path.realpath(path))
    return next((f"/dev/{disk.name}" for disk in Path(f"/sys/class/block/{name}/slaves").glob("*")), path)


def digest(image: str) -> str:
    """Size and hash of an image, for telling whether a byte of it changed."""
    total = hashlib.md5(usedforsecurity=False)
    for offset, block in blocks(image):
        total.update(b"%d:" % offset + block)
    return f"{size_of(image)} {total.hexdigest()}"


def size_of(path: str) -> int:
    """Bytes of a file or of a block device."""
    with open(path, "rb") as file:
        return file.seek(0, os.SEEK_END)


def statistics(device: str) -> list[int]:
    """The counters of a block device: Documentation/block/stat.rst; the seventh is sectors written."""
    return [
        int(word) for word in Path(f"/sys/class/block/{Path(os.path.realpath(device)).name}/stat").read_text().split()
    ]


def free(least: int = 0) -> int:
    """How many bytes are free where one is, all written; waited for at least so many, which may take half a minute."""
    deadline = monotonic() + 30
    while True:
        syncfs()
        seen = os.statvfs(".")
        if seen.f_bfree * seen.f_frsize >= least or monotonic() > deadline:
            return seen.f_bfree * seen.f_frsize
        sleep(0.05)


def write(name: str, data: str | bytes, mode: str = "w") -> None:
    """Make a file, or with mode `a` lengthen it."""
    with open(name, mode if isinstance(data, str) else f"{mode}b") as file:
        file.write(data)


def read(name: str) -> str:
    """The content of a file of text."""
    return Path(name).read_text()


def references(module: str) -> int:
    """How many uses the kernel counts of a module."""
    return int(read(f"/sys/module/{module}/refcnt"))


def load(path: str, parameters: str = "") -> None:
    """init_module(2), as insmod(8) does it; what the module depends on has to be loaded."""
    image = Path(path).read_bytes()
    check(libc.init_module(image, ctypes.c_ulong(len(image)), parameters.encode()), path)


def unload(module: str) -> None:
    """delete_module(2), as rmmod(8) does it; nothing when it isn't loaded."""
    if os.path.exists(f"/sys/module/{module}"):
        check(libc.delete_module(module.encode(), os.O_NONBLOCK), module)


def registered(kind: str) -> bool:
    """Whether the kernel knows a filesystem type."""
    return kind in [line.split()[-1] for line in read("/proc/filesystems").splitlines()]


def syncfs(name: str = ".") -> None:
    """syncfs(2) of the filesystem that a path is on."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        check(libc.syncfs(descriptor), name)
    finally:
        os.close(descriptor)


def ended(script: str) -> tuple[int, str, str]:
    """Run a script with `sh -eu`: its exit code, as a shell would tell it, and its two streams."""
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr


def shell(script: str) -> str:
    """Run what needs a program, with `sh -eu`; returns stdout, raises with stderr when it fails."""
    code, stdout, stderr = ended(script)
    if code:
        raise OSError(0, f"`{script}` failed with {code}: {stderr.strip() or stdout.strip()}")
    return stdout.strip()


def attempt(statement: str, names: dict[str, Any] | None = None) -> str:
    """Try a Python statement: `done`, or the name of the errno that it failed with."""
    try:
        exec(statement, globals() if names is None else names)
    except OSError as problem:
        return errno.errorcode.get(problem.errno or 0, str(problem))
    return "done"


def outcome(function: Callable[..., object], *arguments: Any) -> str:
    """Call it: `done`, or the name of the errno that it failed with."""
    try:
        function(*arguments)
    except OSError as problem:
        return errno.errorcode.get(problem.errno or 0, str(problem))
    return "done"


class Device:
    """A scratch filesystem, as scratch.py on the other side describes it: image, loop device, mount point."""

    def __init__(self, known: dict[str, Any]) -> None:
        """Take over what is known of it."""
        self.image: str = known["image"]
        self.point: str = known["point"]
        self.device: str = known["device"]
        self.kind: str = known["kind"]
        self.options: str = known["options"]
        self.read_only_options: str = known["read_only_options"]
        self.persistent: bool = known["persistent"]
        self.disk: list[str] = known["disk"]  # of a test on a device: its name, its serial number, what reads that

    def create(self, size: int, *, read_only: bool = False, master: str = "") -> str:
        """Make everything anew, with what the file `master` holds, or without a filesystem; returns the loop device."""
        self.remove()
        os.makedirs(self.point)
        if self.disk:
            self.device = self.map(size, read_only=read_only)
            copy(master, self.image)
            return self.device
        with open(self.image, "wb") as file:
            file.truncate(size)
        copy(master, self.image)
        self.device = attach(self.image, read_only=read_only)
        return self.device

    def keep(self, master: str) -> None:
        """Make the file `master` of what is on the device now."""
        with open(self.device, "rb") as device:
            os.fsync(device)
        Path(master).write_bytes(b"")
        os.truncate(master, size_of(self.image))
        copy(self.image, master)

    def map(self, size: int, *, read_only: bool = False) -> str:
        """The first so many bytes of the device under test, all zeros, as a device of their own."""
        by_id, serial, script = self.disk
        with open(by_id, "rb"):  # while it is open, what is behind its name can't become another disk
            teller = sys.modules["device"] = ModuleType("device")
            exec(script, teller.__dict__)
            found = os.path.realpath(by_id)
            if wrong := teller.identity(teller.Kernel().serial(teller.number_of(os.stat(found).st_rdev)), serial):
                raise OSError(0, f"{by_id}: {wrong[0]}")
            name, table = os.path.basename(self.image), f"0 {size // 512} linear {found} 0"
            shell(f"dmsetup create {name} --table '{table}'; blkdiscard --zeroout {self.image}")
            if read_only:
                shell(f"dmsetup remove --retry {name}; dmsetup create --readonly {name} --table '{table}'")
        return self.image

    def remove(self) -> None:
        """Take everything down, what an interrupted run left too; fails when the filesystem doesn't let go."""
        os.chdir("/")
        for _ in mounts(self.point):
            umount(self.point)
        if self.disk and os.path.exists(self.image):
            shell(f"dmsetup remove --retry {os.path.basename(self.image)}")
        elif not self.disk:
            for device in loops(self.image):
                detach(device)
            Path(self.image).unlink(missing_ok=True)
        if os.path.isdir(self.point):
            os.rmdir(self.point)  # not rmtree: a mount that is still there must not be emptied

    def mount(self, options: str = "") -> None:
        """Mount it and go there; as writable as the target claims to be when no options are given."""
        mount(self.device, self.point, self.kind, options or self.options)
        os.chdir(self.point)

    def unmount(self) -> None:
        """Leave it and unmount it; nothing may be busy."""
        os.chdir("/")
        umount(self.point)

    def remount(self) -> None:
        """Unmount and mount again: what is on disk instead of what is in memory, if the target is to keep it."""
        if self.persistent:
            self.unmount()
            self.mount()

    def digest(self) -> str:
        """Size and hash of the whole image, for telling whether a byte of it changed."""
        with open(self.device, "rb") as device:
            os.fsync(device)
        return digest(self.image)

    def bytes_at(self, offset: int, length: int) -> str:
        """What is on the device, as hexadecimal digits."""
        with open(self.device, "rb") as device:
            return os.pread(device.fileno(), length, offset).hex()
