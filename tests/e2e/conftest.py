"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, VEXFS, Vexlab


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


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git knows, as CI would, so that a file left lying about can't be in it."""
    tree = tmp_path_factory.mktemp("tree")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copy = ["rsync", "--archive", "--from0", "--files-from=-", f"{ROOT}/", f"{tree}/"]
    subprocess.run(copy, input=files, check=True)
    output = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(output), str(tree)], check=True)
    return next(output.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vexlab]:
    """A command line from the wheel, in an environment of its own that knows nothing of the checkout."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", str(wheel)], check=True)
    home = Path(tempfile.mkdtemp(prefix="vexlab-wheel-"))
    tool = Vexlab(home, str(environment / "bin" / "python"))
    try:
        yield tool
    finally:
        tool.end()
        shutil.rmtree(home)
