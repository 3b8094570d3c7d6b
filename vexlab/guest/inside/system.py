"""System calls, and what the kernel tells in /proc and /sys.

System calls instead of programs: in an emulated guest mount(8) takes a quarter of a second and mount(2) a few
milliseconds. The names are those of the tools that people know. Each raises OSError with the path it was about.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from time import monotonic, sleep

from vexlab.guest.inside import around_mounts, daemon

# linux/mount.h; what isn't here is the filesystem's own option
FLAGS = {
    "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "remount": 32, "dirsync": 128, "noatime": 1024,
    "nodiratime": 2048, "bind": 4096, "relatime": 1 << 21, "strictatime": 1 << 24,
}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, *about: str) -> None:
    """Raise the errno of a libc call that failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), " on ".join(about))


def mount(device: str, point: str, kind: str, options: str = "") -> None:
    """mount(2), with options as mount(8) takes them."""
    if "remount" not in options.split(","):
        options += f",{around_mounts.before(kind, device, point)}"
    words = [word for word in options.split(",") if word not in ("", "rw", "defaults")]
    flags = sum(FLAGS.get(word, 0) for word in words)
    data = ",".join(word for word in words if word not in FLAGS)
    check(libc.mount(device.encode(), point.encode(), kind.encode(), flags, data.encode() or None), device, point)


def umount(point: str, flags: int = 0) -> None:
    """umount2(2)."""
    device, kind, _ = (mounts(point) or [["", "", ""]])[-1]
    check(libc.umount2(point.encode(), flags), point)
    around_mounts.after(kind, device, point)


def mounts(point: str) -> list[list[str]]:
    """Device, type and options of each mount at a place, the uppermost last."""
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [[device, kind, options] for device, where, kind, options, *_ in fields if where == point]


def statistics(device: str) -> list[int]:
    """The counters of a block device: Documentation/block/stat.rst; the seventh is sectors written."""
    return [
        int(word) for word in Path(f"/sys/class/block/{Path(os.path.realpath(device)).name}/stat").read_text().split()
    ]


def statfs(path: str = ".") -> os.statvfs_result:
    """statfs(2) of the filesystem that a path is on; all zeros of one that has no such call (ENOSYS)."""
    try:
        return os.statvfs(path)
    except OSError as problem:
        if problem.errno != errno.ENOSYS:
            raise
        return os.statvfs_result((0,) * 11)


def free(least: int = 0, seconds: float = 0.0) -> int:
    """How many bytes are free where one is, all written; waited for so many seconds for at least so many."""
    deadline = monotonic() + seconds
    while True:
        syncfs()
        seen = statfs()
        if seen.f_bfree * seen.f_frsize >= least or monotonic() > deadline:
            return seen.f_bfree * seen.f_frsize
        sleep(0.05)


def put(descriptor: int, data: bytes | bytearray) -> None:
    """write(2) until all of it is written, as programs do; fails where that writes nothing and doesn't say why."""
    left = memoryview(data)
    while left:
        written = os.write(descriptor, left)
        assert written, f"write of {len(left)} bytes returned 0, neither a byte nor an errno: programs try it for ever"
        left = left[written:]


def write(name: str, data: str | bytes, mode: str = "w") -> None:
    """Make a file, or with mode `a` lengthen it, or with mode `x` make one that isn't there."""
    flags = {"w": os.O_TRUNC, "a": os.O_APPEND, "x": os.O_EXCL}[mode]
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        put(descriptor, data.encode() if isinstance(data, str) else data)
    except OSError as problem:
        raise OSError(problem.errno, f"{problem.strerror}, in a write of {len(data)} bytes", name) from None
    finally:
        os.close(descriptor)


def read(name: str) -> str:
    """The content of a file of text."""
    return Path(name).read_text(errors="replace")


def references(module: str) -> int:
    """How many uses the kernel counts of a module; none of what is no module, but a part of the kernel itself."""
    return int(read(f"/sys/module/{module}/refcnt")) if module else 0


def load(path: str, parameters: str = "") -> None:
    """init_module(2), as insmod(8) does it; what the module depends on has to be loaded. Its daemon is started."""
    image = Path(path).read_bytes()
    check(libc.init_module(image, ctypes.c_ulong(len(image)), parameters.encode()), path)
    daemon.after_load()


def unload(module: str) -> None:
    """delete_module(2), as rmmod(8) does it, its daemon stopped before; nothing when it isn't loaded."""
    if not os.path.exists(f"/sys/module/{module}"):
        return
    daemon.before_unload(module)
    try:
        check(libc.delete_module(module.encode(), os.O_NONBLOCK), module)
    except OSError:
        daemon.after_load()
        raise


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


def write_out(descriptor: int) -> None:
    """fsync(2), which only capability `sync` promises; of a filesystem without it (EINVAL), syncfs(2) of all."""
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno != errno.EINVAL:
            raise
        check(libc.syncfs(descriptor))


def open_and_close(path: str, flags: int) -> None:
    """open(2) and close(2), to see whether it can be opened like that."""
    os.close(os.open(path, flags))
