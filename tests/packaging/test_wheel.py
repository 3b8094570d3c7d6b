"""The wheel alone, installed outside of the checkout, is a whole vexlab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Vexlab


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git knows, as CI would, so that a file left lying about can't be in it."""
    tree = tmp_path_factory.mktemp("tree")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["rsync", "-a", "--from0", "--files-from=-", f"{ROOT}/", f"{tree}/"], input=files, check=True)
    output = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(output), str(tree)], check=True)
    return next(output.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vexlab]:
    """A command line in an environment that knows nothing of the checkout."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", str(wheel)], check=True)
    with tempfile.TemporaryDirectory(prefix="vexlab-wheel-") as home:
        tool = Vexlab(Path(home), str(environment / "bin" / "python"))
        tool.environment["PATH"] = os.environ["PATH"]
        yield tool
        tool.end()


def test_wheel_holds_the_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in ("playbooks/stages.yml", "roles/vexlab_guest/files/guest.py", "tests/guest/conftest.py",
                 "inventory/group_vars/vexlab.yml", "examples/vexfs/Kbuild", "examples/targets/vexfs.yml"):  # fmt: skip
        assert f"vexlab/_content/{path}" in names
    assert not [name for name in names if name.endswith((".pyc", ".ko", ".o"))]


def test_doctor_finds_everything(installed: Vexlab) -> None:
    done = installed("doctor", cwd=installed.home)
    assert done.code == 0, done.stderr


def test_up_passes(installed: Vexlab) -> None:
    done = installed("up", "--json", cwd=installed.home)
    assert done.code == 0, done.stderr
    assert set(done.verdicts().values()) == {"passed"}
