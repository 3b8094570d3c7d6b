"""A filesystem to be damaged: made once, put back before each trial, tried in the guest.

Without a device there is nothing to damage and to put back; what is mounted is tried as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vexlab.guest.inside import damage, images
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

SECONDS = 60  # for one trial


@dataclass(frozen=True)
class Attempt:
    """One mount: `done` or an errno, what failed while it was mounted, and how it was unmounted."""

    options: str
    mount: str
    failed: dict[str, str]
    unmount: str


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    attempts: tuple[Attempt, ...]
    references: tuple[int, int]
    changed: bool

    def must_be_safe(self) -> None:
        """Assert that what was mounted was unmounted, and that the module is as free as it was."""
        stuck = [f"mounted with {tried.options}, it could not be unmounted: {tried.unmount}"
                 for tried in self.attempts if tried.unmount != "done"]  # fmt: skip
        assert not stuck, "; ".join(stuck)
        before, after = self.references
        assert after == before, f"the module's use count went from {before} to {after}: it can't be unloaded any more"

    def must_be_refused(self) -> None:
        """Assert that no mount succeeded."""
        mounted = [tried.options for tried in self.attempts if tried.mount == "done"]
        assert not mounted, f"was mounted with {' and with '.join(mounted)}"
        absent = [tried.mount for tried in self.attempts if tried.mount in ("ENOENT", "ENODEV")]
        assert not absent, f"there was nothing to mount: {', '.join(absent)}"
        assert not self.changed, "the mount was refused, but something was written"
        self.must_be_safe()

    def must_be_noticed(self) -> None:
        """Assert that each mount failed, or something that was done to it."""
        blind = [tried.options for tried in self.attempts if tried.mount == "done" and not tried.failed]
        assert not blind, f"mounted with {' and with '.join(blind)}, nothing that was done to it failed"
        self.must_be_safe()


class Corruptible(Scratch):
    """A scratch filesystem with content and a copy to go back to."""

    def __init__(self, guest: Guest, target: Target, name: str = "corruptible") -> None:
        """Name the resources; nothing is made yet."""
        super().__init__(guest, target, name, on_image=True, whole=False)
        self.master = "" if target.lacks("device") else f"{self.image}.master"

    def create(self, label: str = "vexlab") -> None:
        """Make it, fill it as far as the target can, unmount it, keep a copy."""
        super().create(label)
        if "read-write" in self.target.capabilities:
            self.mount()
            self.call(damage.fill, self.target.capabilities)
            self.unmount()
        if self.master:
            self.call(Filesystem.keep, self.master)

    def remove(self) -> None:
        """Take everything down, the copy too."""
        self.guest.call(images.remove, self.master)
        super().remove()

    def is_whole(self) -> None:
        """Assert that put back it mounts, can be used and unmounts: the module got over what was done before."""
        outcome = self.trial("whole")
        failed = [
            f"{tried.options}: {tried.mount}, {tried.failed}" for tried in outcome.attempts if tried.mount != "done"
        ]
        assert not failed, f"the undamaged filesystem is not mounted any more: {'; '.join(failed)}"
        outcome.must_be_safe()

    def mounts(self) -> list[str]:
        """The options of a read-only mount, and of a writable one if the target claims that."""
        return list(dict.fromkeys([str(self.target.mount_options_ro), self.target.mount_options()]))

    def trial(
        self,
        name: str,
        *,
        patches: Sequence[tuple[int, str, str]] = (),
        commands: Sequence[str] = (),
        device: str = "",
        mounts: Sequence[str] = (),
        compare: bool = False,
    ) -> Outcome:
        """Put the filesystem back, break it, try it: patches are (offset, `flip` or `set`, hexadecimal digits).

        Another device than its own is tried as it is, and other mounts are tried in place of mounts(). With `compare`
        a refused mount must not have changed a byte.
        """
        order = {
            "name": name, "device": device or self.device, "master": "" if device else self.master, "point": self.point,
            "type": self.target.filesystem_type, "module": self.target.module_name, "directory": self.target.build,
            "patches": list(patches), "commands": list(commands), "mounts": list(mounts) or self.mounts(),
            "image": self.image if compare else "",
        }  # fmt: skip
        seen = self.guest.call(damage.trial, order, seconds=SECONDS)
        attempts = tuple(Attempt(**tried) for tried in seen["attempts"])
        return Outcome(attempts, tuple(seen["references"]), seen["changed"])
