"""A filesystem of the tests' own: image file, loop device, mount point."""

from __future__ import annotations

import shlex

from guest import Guest, Lab


class Scratch:
    """An image on a loop device, formatted with the target's mkfs. Made and removed by the fixture of the same name."""

    def __init__(self, guest: Guest, lab: Lab, name: str = "scratch", size_mb: int | None = None) -> None:
        """Name the resources; nothing is made yet."""
        self.guest = guest
        self.lab = lab
        self.image = f"{lab.work_directory}/{name}.img"
        self.point = f"{lab.work_directory}/{name}"
        self.size_mb = size_mb or int(lab.device_size_mb)
        self.device = ""

    def create(self, *, formatted: bool = True, label: str = "vexlab") -> None:
        """Make image, loop device and mount point; what an interrupted run left of the same name goes first."""
        self.remove()
        self.device = self.guest.ok(
            f"mkdir -p {self.point}; truncate -s {self.size_mb}M {self.image}; losetup -f --show --nooverlap {self.image}"
        )
        if formatted:
            self.format(label)

    def format(self, label: str = "vexlab") -> None:
        """Run the target's mkfs on the device, wiped of any signature before."""
        self.guest.ok(f"wipefs -qa {self.device}; " + self.lab.mkfs(self.device, label), seconds=120)

    def mount_command(self, options: str = "", point: str = "") -> str:
        """The command that mounts the device; read-write with the target's options when none are given."""
        options = options or self.lab.mount_options_rw
        return f"mount -t {shlex.quote(self.lab.filesystem_type)} -o {shlex.quote(options)} {self.device} {point or self.point}"

    def mount(self, options: str = "") -> None:
        """Mount the device."""
        self.guest.ok(self.mount_command(options))

    def unmount(self) -> None:
        """Unmount it; nothing may be busy."""
        self.guest.ok(f"umount {self.point}")

    def remount(self) -> None:
        """Unmount and mount again, which is what tells what is on disk from what is in memory."""
        self.guest.ok(f"umount {self.point} && {self.mount_command()}")

    def remove(self) -> None:
        """Take everything down. Fails when the filesystem doesn't let go."""
        self.guest.ok(
            f"if mountpoint -q {self.point}; then umount {self.point}; fi; "
            f"losetup -j {self.image} | cut -d: -f1 | xargs -r -n1 losetup -d; rm -f {self.image}; "
            f"if [ -d {self.point} ]; then rmdir {self.point}; fi"
        )
