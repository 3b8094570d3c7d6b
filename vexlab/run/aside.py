"""A run beside what a person asked for, in a lab of its own: its guest is there for that run alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vexlab.config.settings import Settings
from vexlab.errors import VexlabError
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.model import Run
from vexlab.run import plain_playbooks, scratch
from vexlab.run.controller import RunController
from vexlab.run.selection import Selection


def judged_aside(lab: Lab, settings: Settings, selected: Selection, progress: Progress) -> Run:
    """Judge what is selected, to the end; raises what kept the first stage from beginning."""
    with lab.held(), _ending(lab):
        plain_playbooks.prepare(lab, settings)
        controller = RunController(
            lab, settings, selected.judged, progress, applied=selected.applied, choices=selected.choices,
            chosen=selected.chosen,
        )  # fmt: skip
        return controller.execute("up", keep_going=True)


@contextlib.contextmanager
def _ending(lab: Lab) -> Iterator[None]:
    """End the guest afterwards, whatever came of it."""
    try:
        yield
    finally:
        with scratch.directory() as directory, contextlib.suppress(VexlabError, OSError):
            plain_playbooks.end_guest(lab, "stopped", directory / "ansible.log")
