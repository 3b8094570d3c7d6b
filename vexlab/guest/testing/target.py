"""The target under test, as the lab's contract tells it to the checks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pytest

from vexlab.config import needs
from vexlab.guest.inside import second_device
from vexlab.guest.testing.inventory import host_variables
from vexlab.guest.testing.result import Result, refused

READ_ONLY_PHASE = 1  # of a test on a device
OWN_SECONDS = 150  # for a command of the target's own checks


class Target:
    """The `vexlab_*` variables of the host under test, without the prefix; a missing one fails by name."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Take the host's variables as the inventory has them."""
        self._variables = variables

    def __getattr__(self, name: str) -> Any:
        """`target.module_name` is the variable vexlab_module_name."""
        try:
            return self._variables[f"vexlab_{name}"]
        except KeyError:
            pytest.fail(f"the inventory has no vexlab_{name} for this host", pytrace=False)

    def lacks(self, what: str) -> str:
        """Why the target lacks what a check needs, a word of `needs` in pytest.ini; empty when it doesn't."""
        return needs.lacks(what, self.__getattr__)

    @property
    def build(self) -> str:
        """Directory of the guest in which the target was built and its commands run; `/` for one that isn't built."""
        return "/" if self.lacks("module") else f"{self.work_directory}/build"

    @property
    def source_directory(self) -> str:
        """Where the source is, on the machine under test: shared, copied to test hardware, or brought by the image."""
        if not self.source:
            return str(self.source_in_guest)
        return f"{self.work_directory}/incoming" if self.hardware else str(self.share_directory)

    @property
    def source_copy(self) -> str:
        """Directory of the guest that holds the copy of the source."""
        return f"{self.work_directory}/source"

    @property
    def module_path(self) -> str:
        """The built module; empty for the kernel's own."""
        return "" if self.lacks("module") else f"{self.build}/{self.module_file}"

    @property
    def device_image(self) -> str:
        """What the lab's own filesystem is on: an image, or the device under test."""
        return str(self.device) or f"{self.work_directory}/device.img"

    @property
    def source_mounted(self) -> str:
        """What the lab's own filesystem is mounted from, if that is no device."""
        return f"{self.work_directory}/directory" if self.device_kind == "directory" else str(self.mount_source)

    @property
    def capabilities(self) -> list[str]:
        """What the target claims; in a read-only phase, what of it can be claimed without a writable mount."""
        claimed: list[str] = self._variables["vexlab_capabilities"]
        read_only = self.phase == READ_ONLY_PHASE
        return [name for name in claimed if not read_only or name.startswith(("mkfs-", "module-")) or name == "label"]

    @property
    def scratch_is_on_device(self) -> bool:
        """Whether scratch filesystems are on the device under test: not while nothing but mkfs may write to it."""
        return bool(self.device) and self.phase != READ_ONLY_PHASE

    def mkfs(self, device: str, label: str = "vexlab", *, force: bool = False, second_of: str = "") -> str:
        """The target's mkfs command for a device, as a script; `force`: the one for a device that isn't blank.

        `second_of`: the device whose second one it gets, where it is pointed at what has none.
        """
        command = (force and self.mkfs_force_command) or self.mkfs_command
        second = second_device.link_of(second_of or device)
        more = {"SECOND_DEVICE": second} if self.second_device_size_mb else {}
        return self.in_build(command, {"DEVICE": device, "LABEL": label} | more)

    def in_build(self, command: str, variables: dict[str, str]) -> str:
        """A command of the target's, as a script: in the tree that was built, with these variables."""
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items())
        return f"cd {shlex.quote(self.build)}; {exports}{command}"

    def mkfs_refused(self, mkfs: str, ended: Sequence[Any]) -> None:
        """Assert that mkfs refused a device; `ended` is its exit code, stdout and stderr."""
        result = Result(mkfs, *ended)
        codes: list[int] = self.mkfs_refusal_codes
        if result.code not in codes:
            refused(result)
            known = " or ".join(map(str, codes))
            assert not codes, f"{result.command} ended with {result.code}, and it refuses with {known}: {result.said}"

    @property
    def around_mounts(self) -> dict[str, str]:
        """The commands that the target has run around each mount, by their fields, each as a script."""
        fields = ("before_mount_command", "mount_options_command", "after_unmount_command")
        known = {field: str(getattr(self, field)) for field in fields}
        return {field: self.in_build(command, {}) if command else "" for field, command in known.items()}

    @property
    def fsck(self) -> str:
        """The target's fsck as a script in which $DEVICE is the device; empty when it has none."""
        return self.in_build(self.fsck_command, {}) if self.fsck_command else ""

    def mount_options(self) -> str:
        """The options of a mount that can do all that the target claims."""
        return str(self.mount_options_rw if "read-write" in self.capabilities else self.mount_options_ro)


def target_of(config: pytest.Config) -> Target:
    """The target for whoever has no fixture yet, which is who makes one check per case of a target file."""
    return Target(host_variables(config.option.hosts, config.option.ansible_inventory))
