"""THE home of whether a block device may be written: what it is, and every reason against it; reads only.

Standard library only. A question that can't be answered is an error, never "free". The kernel is asked through /sys and
/proc below a root, which is another directory in tests.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BY_ID = "/dev/disk/by-id/"
SYSTEM = {"/": "the root filesystem", "/boot": "/boot", "/boot/efi": "/boot/efi", "/usr": "/usr", "/var": "/var"}
# What says that a disk is one of several, or below something else: never to be overridden.
MEMBERS = ("bcache", "ceph_bluestore", "drbd")


class DeviceError(Exception):
    """Why nothing is done, as a sentence."""


@dataclass(frozen=True)
class Device:
    """A block device as it was found behind its name.

    `path` is where the name pointed, `number` its MAJOR:MINOR, `size` is in bytes, `signatures` are the types that
    wipefs shows (and the filesystem's own, if its magic is there), `refusals` sentences that nothing can override.
    """

    by_id: str
    path: str = ""
    number: str = ""
    size: int = 0
    serial: str = ""
    model: str = ""
    signatures: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


class Kernel:
    """What the kernel tells of block devices."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Ask the running kernel, or a tree that looks like its /sys and /proc."""
        self.sys = root / "sys"
        self.proc = root / "proc"

    def directory(self, number: str) -> Path:
        """The directory of a device in /sys."""
        return (self.sys / "dev" / "block" / number).resolve()

    def text(self, number: str, name: str) -> str:
        """An attribute of a device; empty when it hasn't that one."""
        try:
            return (self.directory(number) / name).read_text(errors="replace").strip()
        except OSError:
            return ""

    def above(self, number: str) -> set[str]:
        """The device, its partitions, and whatever is on one of these: dm, md, bcache, loop devices."""
        found, todo, loops = set[str](), [number], self.loops()
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                paths = [*self.directory(one).glob("*/partition"), *self.directory(one).glob("holders/*/dev")]
                todo += [(path.parent / "dev").read_text().strip() for path in paths]
                todo += [upper for upper, lower in loops if lower == one]
        return found

    def loops(self) -> list[tuple[str, str]]:
        """Each loop device that is on a block device, and that device; the kernel doesn't call it a holder."""
        found = []
        for path in (self.sys / "block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):  # it may be detached meanwhile
                status = Path(path.read_text().strip()).stat()
                if stat.S_ISBLK(status.st_mode):
                    found.append(((path.parent.parent / "dev").read_text().strip(), number_of(status.st_rdev)))
        return found

    def writers(self, numbers: set[str]) -> tuple[list[str], int]:
        """The processes that have one of the devices open for writing, and of how many that can't be told."""
        found, unknown = [], 0
        for entry in sorted(self.proc.glob("[0-9]*"), key=lambda path: int(path.name)):
            try:
                if any(self._writes(entry / "fdinfo" / one.name, one, numbers) for one in (entry / "fd").iterdir()):
                    found.append(f"{(entry / 'comm').read_text(errors='replace').strip()} ({entry.name})")
            except PermissionError:
                unknown += 1
            except OSError:  # it has ended
                continue
        return found, unknown

    @staticmethod
    def _writes(about: Path, descriptor: Path, numbers: set[str]) -> bool:
        """Whether a descriptor is of one of the devices, and open for writing; what was closed meanwhile isn't."""
        try:
            if not str(descriptor.readlink()).startswith("/"):  # a socket, a pipe
                return False
            status = descriptor.stat()
        except FileNotFoundError:
            return False
        if not stat.S_ISBLK(status.st_mode) or number_of(status.st_rdev) not in numbers:
            return False
        flags = next(line.split()[1] for line in about.read_text().splitlines() if line.startswith("flags:"))
        return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY

    def below(self, number: str) -> set[str]:
        """The device and whatever it is made of: the disk of a partition, parts of dm and md, the file of a loop."""
        found, todo = set[str](), [number]
        while todo:
            one = todo.pop()
            directory = self.directory(one)
            if one in found or not directory.is_dir():
                continue
            found.add(one)
            if (directory / "partition").exists():
                todo.append((directory.parent / "dev").read_text().strip())
            todo += [path.read_text().strip() for path in directory.glob("slaves/*/dev")]
            with contextlib.suppress(OSError):
                file = Path((directory / "loop" / "backing_file").read_text().strip())
                todo.append(number_of(file.stat().st_dev))
        return found

    def mounts(self) -> list[tuple[str, str]]:
        """Device and mount point of each mount; for filesystems with numbers of their own, the device they name."""
        found = []
        for line in (self.proc / "self" / "mountinfo").read_text().splitlines():
            left, _, right = line.partition(" - ")
            number, point, source = left.split()[2], left.split()[4], right.split()[1]
            if number.startswith("0:") and source.startswith("/dev/"):  # btrfs, say
                with contextlib.suppress(OSError):
                    number = number_of(Path(source).stat().st_rdev)
            found.append((number, point))
        return found

    def swaps(self) -> list[str]:
        """Numbers of the block devices that are used as swap."""
        paths = [line.split()[0] for line in (self.proc / "swaps").read_text().splitlines()[1:]]
        found = []
        for path in paths:
            with contextlib.suppress(OSError):
                status = Path(path).stat()
                found.append(number_of(status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev))
        return found

    def serial(self, number: str) -> str:
        """The serial number that the device itself tells: virtio, NVMe, SCSI and SATA; else what udev knows."""
        for name in ("serial", "device/serial"):
            if told := self.text(number, name):
                return told
        with contextlib.suppress(OSError):  # page 0x80 of its vital product data: four bytes, then the number
            return (self.directory(number) / "device" / "vpd_pg80").read_bytes()[4:].decode("ascii", "replace").strip()
        with contextlib.suppress(OSError):
            lines = (self.proc.parent / "run" / "udev" / "data" / f"b{number}").read_text().splitlines()
            return next((line.partition("=")[2] for line in lines if line.startswith("E:ID_SERIAL_SHORT=")), "")
        return ""


def number_of(device: int) -> str:
    """MAJOR:MINOR."""
    return f"{os.major(device)}:{os.minor(device)}"


def output(command: list[str], allowed: tuple[int, ...] = (0,)) -> str:
    """What a command printed; any other exit code than the allowed ones, or no such command, is a DeviceError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise DeviceError(f"could not tell: {command[0]}: {problem.strerror}") from problem
    if done.returncode not in allowed:
        raise DeviceError(f"could not tell: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def uses(kernel: Kernel, number: str) -> list[str]:
    """What a device is, or is used for, that forbids to write to it."""
    directory = kernel.directory(number)
    found = []
    if (directory / "partition").exists():
        found.append("it is a partition, not a whole device")
    if made_of := sorted(path.name for path in directory.glob("slaves/*")):
        found.append(f"it is made of {', '.join(made_of)}, not a device of its own")
    if kernel.text(number, "ro") != "0":
        found.append("it is read-only")
    if kernel.text(number, "size") in ("", "0"):
        found.append("it has no medium")
    if partitions := len(list(directory.glob("*/partition"))):
        found.append("it has a partition" if partitions == 1 else f"it has {partitions} partitions")
    if holders := sorted(path.name for path in directory.glob("holders/*")):
        found.append(f"it is held by {', '.join(holders)}")
    family = kernel.above(number)
    if attached := sorted(kernel.directory(upper).name for upper, lower in kernel.loops() if lower in family):
        found.append(f"it is attached to {', '.join(attached)}")
    found += [f"it is mounted at {point}" for one, point in kernel.mounts() if one in family]
    found += ["it is used as swap" for one in kernel.swaps() if number in kernel.below(one)][:1]
    system = {point: one for one, point in kernel.mounts() if point in SYSTEM}
    found += [f"it holds {SYSTEM[point]}" for point, one in system.items() if number in kernel.below(one)]
    writers, unknown = kernel.writers(family)
    if writers:
        found.append(f"it, or what is on it, is open for writing by {', '.join(writers)}")
    if unknown:
        found.append(f"it can't be told who has it open: {unknown} processes can't be looked at; root can")
    return found


def memberships(signatures: list[str]) -> list[str]:
    """The signatures that say that a disk is a part of RAID, LVM and their like."""
    return [kind for kind in signatures if kind.endswith("_member") or kind in MEMBERS]


def identity(told: str, wanted: str) -> list[str]:
    """Why a device isn't the one whose serial number a person typed."""
    if not wanted:
        return ["no serial number was given to tell it by"]
    if not told:
        return ["it tells no serial number, so it can't be told from another disk"]
    return [] if told == wanted else [f"its serial number is {told}, not {wanted}: it is another disk"]


def without_boot_sector(signatures: set[str], sector: bytes) -> set[str]:
    """The signatures without `dos`, where the 55 AA that it stands for is that of a filesystem's boot sector.

    FAT, exFAT and NTFS begin with such a sector, as does whatever can be booted, and wipefs takes that of some for a
    partition table. In doubt it is a table: unless something else is there whose sector it can be, the sector begins
    with a jump, and where the table would be no entry is in use, or what is there is none to the kernel either (an
    entry begins with 00 or 80). `sector` is the first 512 bytes.
    """
    if len(sector) < 512 or not signatures - {"dos"}:
        return signatures
    entries = [sector[place : place + 16] for place in range(446, 510, 16)]
    jumps = sector[0] == 0xE9 or (sector[0] == 0xEB and sector[2] == 0x90)
    is_table = all(entry[0] in (0x00, 0x80) for entry in entries)
    in_use = is_table and any(any(entry[1:]) for entry in entries)
    return signatures - {"dos"} if jumps and not in_use else signatures


def read_at(path: str, offset: int, length: int) -> str:
    """Bytes of a device as hexadecimal digits."""
    with open(path, "rb") as device:  # noqa: PTH123
        return os.pread(device.fileno(), length, offset).hex()


def look(by_id: str, serial: str, own: dict[str, Any] | None = None, kernel: Kernel | None = None) -> Device:
    """Look at what a name points to now; `own` has the filesystem's own type, magic and its offset."""
    kernel = kernel or Kernel()
    if not by_id.startswith(BY_ID) or "/" in by_id.removeprefix(BY_ID):
        return Device(by_id, refusals=[f"it is not named as {BY_ID}NAME, and other names move from disk to disk"])
    try:
        path = os.path.realpath(by_id, strict=True)
        status = Path(path).stat()
    except OSError:
        return Device(by_id, refusals=["there is no such device"])
    if not stat.S_ISBLK(status.st_mode):
        return Device(by_id, path, refusals=["it is not a block device"])
    number = number_of(status.st_rdev)
    told, used = kernel.serial(number), uses(kernel, number)
    signatures: list[str] = []
    if not used:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL))
        except OSError as problem:
            used.append(f"it is in use ({problem.strerror})")
    if not used:
        kinds = set(output(["wipefs", "--noheadings", "--output", "TYPE", path]).split())
        if own and own["magic"] and read_at(path, own["offset"], len(own["magic"]) // 2) == own["magic"].lower():
            kinds.add(own["type"])
        signatures = sorted(without_boot_sector(kinds, bytes.fromhex(read_at(path, 0, 512))))
        used = [f"it is a part of something else ({kind})" for kind in memberships(signatures)]
    refusals = [*identity(told, serial), *used]
    size = int(kernel.text(number, "size") or 0) * 512  # the kernel counts sectors of 512 bytes, whatever the disk has
    return Device(by_id, path, number, size, told, kernel.text(number, "device/model"), signatures, refusals)


def refusal(device: Device, overwrite: list[str]) -> str:
    """Why the device may not be written, as one sentence; empty if it may. `overwrite` names signatures that may go."""
    found = list(device.refusals)
    if kept := [kind for kind in device.signatures if kind not in overwrite]:
        found.append(f"it carries a signature ({', '.join(kept)}); to destroy that, name it in vexfs_mkfs_overwrite")
    return "; ".join(found)


@contextlib.contextmanager
def held(by_id: str) -> Iterator[None]:
    """Keep the device behind a name open, so that its number can't become another disk's while it is worked on."""
    descriptor = os.open(by_id, os.O_RDONLY)
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def identified(by_id: str, serial: str) -> Iterator[str]:
    """Keep a device open that has this serial number, and tell its path; raises DeviceError when it is another one.

    For what doesn't need a free device, such as to mount what was formatted. Raises OSError when there is none.
    """
    with held(by_id):
        path = os.path.realpath(by_id, strict=True)
        if said := identity(Kernel().serial(number_of(Path(path).stat().st_rdev)), serial):
            raise DeviceError(f"{by_id}: {said[0]}")
        yield path
