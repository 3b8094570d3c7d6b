"""A filesystem of the tests' own: image file, loop device, mount point."""

from __future__ import annotations

import shlex

from guest import Guest, Lab

# Hashes what differs from zero and where it is: an image is mostly holes, and emulated reads of them take seconds.
DIGEST = """
import hashlib, os, sys
device, image = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
os.fsync(device)
digest, offset, step = hashlib.md5(), 0, 65536
while True:
    try:
        start = os.lseek(image, offset, os.SEEK_DATA)
    except OSError:
        break
    end = os.lseek(image, start, os.SEEK_HOLE)
    for offset in range(max(offset, start - start % step), end, step):
        block = os.pread(image, step, offset)
        if block.count(0) < len(block):
            digest.update(b"%d:" % offset + block)
    offset += step
print(os.fstat(image).st_size, digest.hexdigest())
"""


class Scratch:
    """An image on a loop device. Made, formatted and removed by the fixture of the same name."""

    def __init__(self, guest: Guest, lab: Lab, name: str = "scratch") -> None:
        """Name the resources; nothing is made yet."""
        self.guest = guest
        self.lab = lab
        self.image = f"{lab.work_directory}/{name}.img"
        self.point = f"{lab.work_directory}/{name}"
        self.size = int(lab.device_size_mb) << 20
        self.device = ""

    def create(self, label: str = "vexlab") -> None:
        """Make everything anew, and format it."""
        self.create_blank()
        self.guest.ok(self.lab.mkfs(self.device, label), seconds=120)

    def create_blank(self, size: int = 0, *, read_only: bool = False) -> None:
        """Make image, loop device and mount point anew, without a filesystem; of so many bytes, if it is said."""
        attach = f"losetup --find --show --nooverlap {'--read-only' if read_only else ''} {self.image}"
        make = f"mkdir -p {self.point}; truncate -s {size or self.size} {self.image}; {attach}"
        self.device = self.guest.ok(f"{self._removal()}; {make}")

    def format_again(self, label: str = "vexlab") -> None:
        """Run the target's mkfs on the device as it is, whatever it carries."""
        self.guest.ok(self.lab.mkfs(self.device, label, force=True), seconds=120)

    def mount_command(self, options: str = "", point: str = "") -> str:
        """The command that mounts the device; as writable as the target claims to be when no options are given."""
        kind, options = shlex.quote(self.lab.filesystem_type), shlex.quote(options or self.lab.mount_options())
        return f"mount -t {kind} -o {options} {self.device} {point or self.point}"

    def mount(self, options: str = "") -> None:
        """Mount the device."""
        self.guest.ok(self.mount_command(options))

    def unmount(self) -> None:
        """Unmount it; nothing may be busy."""
        self.guest.ok(f"umount {self.point}")

    def remount(self) -> None:
        """Unmount and mount again, which tells what is on disk from what is in memory; if the target is to keep it."""
        if "persistent" not in self.lab.capabilities:
            return
        self.guest.ok(f"umount {self.point} && {self.mount_command()}")

    def digest(self) -> str:
        """Size and hash of the whole image, for telling whether a byte of it changed."""
        return self.guest.python(DIGEST, self.device, self.image)

    def magic(self) -> str:
        """The bytes on the device where the target's magic belongs, as hexadecimal digits."""
        length = len(self.lab.superblock_magic) // 2
        read = f"od -An -v -tx1 -j {self.lab.superblock_magic_offset} -N {length} {self.device}"
        return "".join(self.guest.ok(read).split())

    def mkfs_is_refused(self, mkfs: str = "") -> None:
        """Assert that mkfs ends with an error, and that the image is byte for byte what it was."""
        before = self.digest()
        self.guest.refuses(mkfs or self.lab.mkfs(self.device))
        assert self.digest() == before, "mkfs refused the device, but wrote to it"

    def remove(self) -> None:
        """Take everything down, what an interrupted run left too. Fails when the filesystem doesn't let go."""
        self.guest.ok(self._removal())

    def _removal(self) -> str:
        # The directory is removed with rmdir: a mount that is still there must not be emptied.
        return (
            f"while mountpoint -q {self.point}; do umount {self.point}; done; "
            f"losetup -j {self.image} | cut -d: -f1 | xargs -r -n1 losetup -d; rm -f {self.image}; "
            f"if [ -d {self.point} ]; then rmdir {self.point}; fi"
        )
