"""A filesystem of the tests' own: image file, loop device, mount point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar, TypeVarTuple, cast

from plugins.module_utils.device import without_boot_sector
from vexlab.guest.inside import filesystem, images
from vexlab.guest.inside.calls import name_of
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing import on_device
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.result import shown
from vexlab.guest.testing.target import Target

Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")


def signatures(guest: Guest, target: Target, device: str) -> set[str]:
    """The types of all that blkid and wipefs see on a device with the target's filesystem; a boot sector is no table.

    The type of the filesystem is among them, whether they know it or not.
    """
    kinds = {*guest.ok(f"wipefs --noheadings --output TYPE {device}").split(), str(target.filesystem_type)}
    return without_boot_sector(kinds, bytes.fromhex(guest.call(images.bytes_at, device, 0, 512)))


def not_the_format(target: Target, seen: set[str]) -> tuple[str, str]:
    """What is wrong with what `signatures` sees on what was blank before mkfs, and what is worth knowing of it.

    One other name is what blkid calls this format, unless the target says which name that is; of two, one is somebody
    else's.
    """
    others = sorted(seen - {target.filesystem_type, target.blkid_type})
    if target.blkid_type and target.blkid_type not in seen:
        found = " and ".join(others) or "none that it knows"
        return f"blkid was to call the format {target.blkid_type} (vexlab_blkid_type), and it calls it {found}", ""
    known = [target.blkid_type] if target.blkid_type else []
    if len(known + others) > 1:
        return f"on an image that was blank, mkfs left the signatures of {' and '.join(known + others)}", ""
    if others:
        return "", f"blkid calls the format {others[0]}: without a type, mount takes it for that (vexlab_blkid_type)"
    return "", ""


@dataclass
class Master:
    """A copy of a filesystem as mkfs left it, in a file of the guest.

    Each module of tests wants an empty filesystem, and mkfs takes a third of a second in an emulated guest.
    """

    path: str
    exists: bool = False


class Scratch:
    """An image on a loop device. Made, formatted and removed by the fixture of the same name."""

    def __init__(
        self, guest: Guest, target: Target, name: str = "scratch", *, on_image: bool = False, whole: bool = True
    ) -> None:
        """Name the resources; nothing is made yet. `on_image`: in a test on a device as well.

        `whole`: after each unmount the target's fsck, if it has one, must find the filesystem right.
        """
        self.guest = guest
        self.target = target
        self.on_device = target.scratch_is_on_device and not on_image
        self.image = f"/dev/mapper/vexlab-{name}" if self.on_device else f"{target.work_directory}/{name}.img"
        self.point = f"{target.work_directory}/{name}"
        self.source = f"{self.image}.directory" if target.device_kind == "directory" else target.mount_source
        self.size = int(target.device_size_mb) << 20
        self.device = ""
        self.fsck = target.fsck if whole else ""

    def seen_from_the_guest(self) -> Filesystem:
        """What a function of package `vexlab.guest.inside` gets of it."""
        return Filesystem(
            image=self.image, point=self.point, device=self.device, kind=self.target.filesystem_type,
            options=self.target.mount_options(), read_only_options=self.target.mount_options_ro,
            persistent="persistent" in self.target.capabilities,
            shape=self.target.device_kind, source=self.source,
            disk=[self.target.device, self.target.device_serial] if self.on_device else [], fsck=self.fsck,
            second_size=int(self.target.second_device_size_mb) << 20,
            room_returns_seconds=self.target.room_returns_seconds, around_mounts=self.target.around_mounts,
            can=self.target.capabilities, limits=self.target.limits,
        )  # fmt: skip

    def call(
        self, function: Callable[[Filesystem, *Arguments], Value], *arguments: *Arguments, seconds: int = 60
    ) -> Value:
        """Call a function of package `inside` on it, as Guest.call does, in its mount point if that is there."""
        order = (asdict(self.seen_from_the_guest()), name_of(function), arguments)
        name, called = name_of(filesystem.on), shown(function)
        return cast(Value, self.guest.returned(name, order, seconds, called, self.target.limits))

    def create(self, label: str = "vexlab") -> None:
        """Make everything anew, and format it."""
        self.create_blank()
        if not self.target.lacks("device"):
            self.guest.ok(self.target.mkfs(self.device, label), seconds=120)

    def create_from(self, master: Master) -> None:
        """Make everything anew, with what mkfs wrote the first time that this was asked for."""
        if master.exists:
            self.make_room()
            self.device = self.call(Filesystem.create, self.size, False, master.path)
        else:
            self.create()
            if not self.target.lacks("device"):
                self.call(Filesystem.keep, master.path)
                master.exists = True

    def create_blank(self, size: int = 0, *, read_only: bool = False) -> None:
        """Make image, loop device and mount point anew, without a filesystem; of so many bytes, if it is said."""
        self.make_room()
        self.device = self.call(Filesystem.create, size or self.size, read_only)

    def make_room(self) -> None:
        """Have the lab's own filesystem give way, where this one is to be on the device under test."""
        if self.on_device:
            on_device.make_free(self.guest, self.target)

    def format_again(self, label: str = "vexlab") -> None:
        """Run the target's mkfs on the device as it is, whatever it carries."""
        self.guest.ok(self.target.mkfs(self.device, label, force=True), seconds=120)

    def mount(self, options: str = "") -> None:
        """Mount the device; as writable as the target claims to be when no options are given."""
        self.call(Filesystem.mount, options)

    def unmount(self) -> None:
        """Unmount it; nothing may be busy."""
        self.call(Filesystem.unmount)

    def remount(self) -> None:
        """Unmount and mount again, which tells what is on disk from what is in memory; if the target is to keep it."""
        self.call(Filesystem.remount)

    def digest(self) -> str:
        """Size and hash of the whole image, for telling whether a byte of it changed."""
        return self.call(Filesystem.digest)

    def signatures(self) -> set[str]:
        """What blkid and wipefs take what is on the device for."""
        return signatures(self.guest, self.target, self.device)

    def magic(self) -> str:
        """The bytes on the device where the target's magic belongs, as hexadecimal digits."""
        length = len(self.target.superblock_magic) // 2
        return self.call(Filesystem.bytes_at, self.target.superblock_magic_offset, length)

    def mkfs_is_refused(self, mkfs: str = "", *, held: bool = False) -> None:
        """Assert that mkfs ends with an error, and that the image is byte for byte what it was.

        `held`: meanwhile somebody has the device for themselves alone, as a volume manager, swap or a mount would.
        """
        mkfs = mkfs or self.target.mkfs(self.device)
        *ended, same = self.call(Filesystem.mkfs_under, mkfs, held)
        self.target.mkfs_refused(mkfs, ended)
        assert same, "mkfs refused the device, but wrote to it"

    def remove(self) -> None:
        """Take everything down; fails when the filesystem doesn't let go, or isn't right afterwards."""
        self.call(Filesystem.end)
