"""Shows a person what an execution of a playbook comes to: image, guest, one stage after the other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernels

from vexlab.config import user_directories
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.stage_record import StageRecord
from vexlab.run.tracker import State

WRITTEN_AT = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ")  # with which the build of an image begins each line of its log


class RunDisplay:
    """Follows the states of one execution. What changed between two of them is shown."""

    def __init__(self, progress: Progress, lab: Lab, directory: Path, state: Callable[[], State]) -> None:
        """Prepare; nothing is shown. `state` tells the newest one, whenever a line is drawn."""
        self._progress = progress
        self._lab = lab
        self._directory = directory
        self._state = state
        self._began = time.time()
        self._task = ""  # of Ansible's, which goes on

    def task(self, name: str) -> None:
        """Take note of the task that begins."""
        self._task = name

    def show(self, before: State, after: State) -> None:
        """Show what of the preparation ended or begins, and a stage that begins."""
        if before.preparing and after.preparing != before.preparing:
            self._progress.end(before.preparing, self._how(before) if before.prepared_anew else "unchanged")
        if after.preparing and after.preparing != before.preparing:
            self._progress.begin(after.preparing, self._image if after.preparing == "image" else self._console)
        if after.current is not None and after.current.name not in before.stages:
            self._progress.begin(after.current.name, self._stage)

    def _how(self, state: State) -> str:
        """How the image or the guest came to be there."""
        if state.preparing == "image":
            return "built"
        record = self._lab.record()
        return f"{'restored from a state' if record.get('warm') else 'booted:'} {record.get('warm_reason', '')}"

    def _image(self) -> str:
        return image_detail(self._began)

    def _console(self) -> str:
        return kernel_messages.stamped(_last_line(self._lab.directory / "console.log"))

    def _stage(self) -> str:
        """How far the stage is that goes on."""
        state = self._state()
        current = state.current
        if current is None:
            return ""
        has_role = any(stage.has_role for stage in state.planned if stage.name == current.name)
        if current.role_ok is None and has_role:
            return self._task or "applying the role"
        done, planned = StageRecord(self._directory, current.name).counts()
        return f"{done} of {planned} checks" if planned else "starting the checks"


def image_detail(since: float) -> str:
    """Return the last step that a build of an image wrote down after `since`, in seconds since the epoch."""
    cache = user_directories.cache_directory()
    every = [*cache.glob("*.log"), *(cache / kernels.DIRECTORY).glob("*.log")]
    logs = [path for path in every if path.stat().st_mtime >= since]
    line = _last_line(max(logs, key=lambda path: path.stat().st_mtime)) if logs else ""
    return WRITTEN_AT.sub("", line)


def _last_line(path: Path) -> str:
    """Return the last line of a log that isn't blank, without control characters."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    shown = ["".join(char for char in line if char.isprintable()).strip() for line in lines]
    return next((line for line in reversed(shown) if line), "")
