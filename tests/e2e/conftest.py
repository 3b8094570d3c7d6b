"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import VEXFS, Vexlab


@pytest.fixture(scope="module")
def vexlab() -> Iterator[Vexlab]:
    """A command line whose labs, runs and sockets are gone after the module."""
    # Not under pytest's own temporary directory: paths of sockets are short.
    home = Path(tempfile.mkdtemp(prefix="vexlab-e2e-"))
    tool = Vexlab(home)
    try:
        yield tool
    finally:
        tool.end()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundled filesystem, to be edited."""
    copy = tmp_path_factory.mktemp("source") / "vexfs"
    shutil.copytree(VEXFS, copy)
    return copy
