"""What comes before the first stage: the image, then the guest; told to a person while it goes on."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages

from vexlab.config import user_directories
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress

ROLES = {"vexlab_image": "image", "vexlab_guest": "guest"}  # the roles that prepare, and what they are called


class Preparation:
    """One part after the other. `part` is the one that goes on, `image` or `guest`; empty when none does."""

    def __init__(self, lab: Lab, progress: Progress, *, guest_is_new: bool) -> None:
        """Prepare; nothing is shown. `guest_is_new`: the guest is one that nothing was done on, whatever happens."""
        self.part = ""
        self.guest_is_new = guest_is_new
        self._lab = lab
        self._progress = progress
        self._changed = False
        self._began = time.time()

    def begin(self, part: str) -> None:
        """Show that a part begins, unless it is the one that goes on."""
        if part != self.part:
            self.end()
            self.part = part
            self._progress.begin(part, self._image_detail if part == "image" else self._guest_detail)

    def change(self) -> None:
        """Note that something changed, which is the doing of the part that goes on."""
        self._changed |= bool(self.part)

    def end(self) -> None:
        """Show that the part ended, and how; nothing when there is none."""
        if self.part:
            self._progress.end(self.part, self._how() if self._changed else "unchanged")
            self.guest_is_new |= self.part == "guest" and self._changed
            self._changed = False
            self.part = ""

    def _how(self) -> str:
        if self.part == "image":
            return "built"
        record = self._lab.record()
        return f"{'restored from a state' if record.get('warm') else 'booted:'} {record.get('warm_reason', '')}"

    def _image_detail(self) -> str:
        return image_detail(self._began)

    def _guest_detail(self) -> str:
        return kernel_messages.stamped(_last_line(self._lab.directory / "console.log"))


def image_detail(since: float) -> str:
    """The last step that a build of an image wrote down after `since`, in seconds since the epoch."""
    logs = [path for path in user_directories.cache_directory().glob("*.log") if path.stat().st_mtime >= since]
    return _last_line(max(logs, key=lambda path: path.stat().st_mtime)) if logs else ""


def _last_line(path: Path) -> str:
    """The last line of a log that isn't blank, without control characters."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    shown = ["".join(char for char in line if char.isprintable()).strip() for line in lines]
    return next((line for line in reversed(shown) if line), "")
