"""Keeps the image of the filesystem that a check failed on, as it was then.

It is read from the device, whose cache has what the filesystem has written so far: nothing is flushed, since a
filesystem that is frozen or broken may never come back from that, and the state to look at would be another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.module_utils import image_copy
from vexlab.config.check_names import short_name
from vexlab.guest.testing.connection import look_command
from vexlab.guest.testing.guest import Guest, started_guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target, target_of

PLUGIN = "vexlab-failed-images"
MOST = 3  # of a stage


class FailedImages:
    """Watches for checks that fail."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        """Take the directory of the stage, where its images go."""
        self._config = config
        self._directory = directory
        self._left = MOST

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # whoever looks at what the check did must not see what is done here
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Keep the image, if the check fails; one that is known to fail doesn't."""
        report = yield
        guest = started_guest(self._config)
        # What is yielded and returned is pytest's own.
        if guest is not None and self._left and getattr(report, "failed", False):
            name = re.sub(r"[^\w.-]+", "-", short_name(item.nodeid)).strip("-")
            self._left -= self._keep(guest, item, self._directory / f"{name}{image_copy.SUFFIX}")
        return report

    def _keep(self, guest: Guest, item: pytest.Item, to: Path) -> bool:
        try:
            image = self._image(item, target_of(self._config))
            return bool(image) and image_copy.keep(look_command(guest.variables, image_copy.packing(image)), to)
        except (OSError, pytest.fail.Exception):
            return False  # the check has its verdict, and a guest or a disk that is gone is noticed by others

    def _image(self, item: pytest.Item, target: Target) -> str:
        """Device or image of the filesystem that a check had; empty when it has none, or one that isn't the lab's."""
        if target.device or target.lacks("device"):
            return ""
        manager, names = item.session._fixturemanager, getattr(item, "fixturenames", ())
        results = [each.cached_result for name in names for each in manager.getfixturedefs(name, item) or ()]
        made = [result[0] for result in results if result is not None and isinstance(result[0], Scratch)]
        own = [scratch.device or scratch.image for scratch in made]
        return str([*own, target.device_image if self._directory.name in image_copy.OF_LAB else ""][0])
