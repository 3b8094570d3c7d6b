"""Playbooks without stages: the guest ended, an image built or removed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vexlab.config.settings import Settings
from vexlab.errors import GuestProblem, HostProblem, UsageProblem
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.run.events import IMAGE, REQUEST, Event, TaskEnded
from vexlab.run.playbook import Outcome, Playbook, Take, pass_by
from vexlab.run.run_display import image_detail


def shown_by(progress: Progress) -> Take:
    """Return what takes events and has only the time shown that passes."""

    def show(_event: Event) -> bool:
        progress.tick()
        return False

    return show


def end_guest(lab: Lab, how: str, log: Path, take: Take = pass_by) -> list[str]:
    """End the guest through the one playbook that does; returns the tasks that changed something."""
    outcome = run_plain("guest_destroy", lab, {"vexlab_guest_end": how}, log, take)
    if not outcome.ok:
        message = outcome.failure.message if outcome.failure else log.read_text()[-600:]
        raise GuestProblem(f"the guest of lab {lab.name} could not be ended: {message}")
    return list(outcome.changed)


def run_plain(name: str, lab: Lab, variables: dict[str, Any], log: Path, take: Take = pass_by) -> Outcome:
    """Run a playbook that has no stages, such as the one that destroys the guest; `take` gets its events."""
    return Playbook(name, lab, variables, log).run(take)


def build_image(lab: Lab, progress: Progress, log: Path) -> None:
    """Build the image that the lab's contract asks for; raises HostProblem when that fails."""
    since = time.time()
    progress.begin("image", lambda: image_detail(since))
    outcome = Playbook("image", lab, {}, log).run(shown_by(progress))
    if not outcome.ok:
        kind = UsageProblem if outcome.failure and REQUEST in outcome.failure.facts else HostProblem
        raise kind(outcome.failure.message if outcome.failure else f"Ansible failed; its output is in {log}")
    progress.end("image", "built" if outcome.changed else "there already")


def prune_images(lab: Lab, keep: Sequence[str], log: Path, *, check: bool) -> dict[str, Any]:
    """Remove the images that nobody uses; what was removed (key and MiB), and what was kept and why.

    With `check` nothing is removed, and told is what would be.
    """
    answers: list[dict[str, Any]] = []

    def listen(event: Event) -> bool:
        if isinstance(event, TaskEnded) and IMAGE in event.facts:
            answers.append(event.facts[IMAGE])
        return False

    variables = {"vexlab_image_state": "pruned", "vexlab_image_keep": list(keep)}
    outcome = Playbook("image", lab, variables, log, check=check).run(listen)
    if not outcome.ok or not answers:
        raise HostProblem(outcome.failure.message if outcome.failure else f"Ansible failed; its output is in {log}")
    return answers[-1]


def prepare(lab: Lab, settings: Settings) -> None:
    """Write the lab's inventory for a playbook."""
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab.write_inventory(settings, sys.executable)
