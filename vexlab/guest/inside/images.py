"""Images: files that hold a filesystem, the loop devices that they are on, and what is in them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from vexlab.guest.inside import second_device

# linux/loop.h
LOOP_CLR_FD, LOOP_SET_CAPACITY, LOOP_CONFIGURE, LOOP_CTL_GET_FREE = 0x4C01, 0x4C07, 0x4C0A, 0x4C82
LOOP_READ_ONLY = 1
BLKFLSBUF = 0x1261  # linux/fs.h
LOOP_CONFIG = struct.Struct("II 40x 4I 64s 112x 64x")  # descriptor, block size, loop_info64, reserved


def attach(image: str, read_only: bool = False, sector: int = 0) -> str:
    """Put an image file on a free loop device, with sectors of 512 bytes or of so many; returns the device.

    If the target has a second device, that is there as well then.
    """
    device = on_loop(image, read_only, sector)
    if size := second_device.size():
        second = second_device.image_of(image)
        if not os.path.exists(second):
            Path(second).write_bytes(b"")
            os.truncate(second, size)
        link = Path(second_device.link_of(device))
        link.unlink(missing_ok=True)
        link.symlink_to(next(iter(loops(second)), "") or on_loop(second))
    return device


def on_loop(image: str, read_only: bool = False, sector: int = 0) -> str:
    """Put one file on a free loop device; returns that."""
    with open("/dev/loop-control", "rb") as control, open(image, "rb" if read_only else "r+b") as file:
        # The image's name is what losetup shows.
        setup = LOOP_CONFIG.pack(file.fileno(), sector, 0, 0, 0, LOOP_READ_ONLY * read_only, image.encode()[:63])
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
    """Free a loop device, and its second one; while somebody has one open, the kernel does that later."""
    link = second_device.link_of(device)
    for each in [device, *([link] if os.path.lexists(link) else [])]:
        with open(each, "rb") as loop:
            fcntl.ioctl(loop, LOOP_CLR_FD)
    Path(link).unlink(missing_ok=True)


def discard(image: str) -> None:
    """Free what an image is on, and remove it, its second one too; nothing when it isn't there."""
    for device in loops(image):
        detach(device)
    remove(image)


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


def copy_to_device(image: str, device: str) -> None:
    """Write what an image holds to a device that is all zeros, and what its second one holds to that one's."""
    copy(image, device)
    if second := second_device.of(device):
        copy(second_device.image_of(image), second)


def keep(image: str, to: str) -> None:
    """Write what an image holds to a new file, with its holes; of a device that is mounted, what has reached it.

    What its second one holds goes beside that.
    """
    for source, target in [(image, to), (second_device.image_of(image), second_device.image_of(to))]:
        if os.path.exists(source):
            with open(target, "wb") as file:
                file.truncate(size_of(source))
                for offset, block in blocks(source):
                    os.pwrite(file.fileno(), block, offset)


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


def bytes_at(path: str, offset: int, length: int) -> str:
    """Bytes of a file or of a device, as hexadecimal digits."""
    with open(path, "rb") as file:
        return os.pread(file.fileno(), length, offset).hex()


def remove(path: str) -> None:
    """Remove an image if it is there, and its second one; nothing for no path."""
    if path:
        Path(path).unlink(missing_ok=True)
        Path(second_device.image_of(path)).unlink(missing_ok=True)
