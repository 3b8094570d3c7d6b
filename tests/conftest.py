"""How the tests that start guests are spread over processes, and what every test finds in its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

LONGEST = (
    "test_gate", "test_documented", "test_up", "test_devices", "test_keep_going", "test_warm",
    "test_signals_in_stages", "test_directories", "test_verdicts", "test_another_filesystem", "test_recover",
    "test_broken_filesystems", "test_collection",
)  # fmt: skip


def pytest_configure() -> None:
    """Take the virtual environment out of PATH: vexlab is called by its path, as the README has it."""
    here = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != here)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: with several at once, a long one at the end would run alone."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


class ByLab(LoadScopeScheduling):
    """Tests of a file stay together, since they share a lab. A mutant has a guest of its own, and goes anywhere."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/mutants/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """For `--dist loadscope`, what belongs together is told by the labs; others are as they are."""
    return ByLab(config, log) if config.getvalue("dist") == "loadscope" else None
