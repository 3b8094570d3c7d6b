"""The checks of an installed collection: they find what they stand on in it, and need nothing that vexlab installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from vexlab.config.installation import contract_defaults

ROOT = Path(__file__).parents[2]
# What somebody has who judges with Ansible and testinfra alone, and what these bring along.
THERE = {"ansible-core", "jinja2", "pytest", "pytest-testinfra", "pytest-timeout", "pyyaml"}
IMPORT = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
names = []
for package in ("vexlab.config.needs", "vexlab.guest.inside", "vexlab.guest.testing"):
    there = getattr(importlib.import_module(package), "__path__", [])
    names += [f"{package}.{module.name}" for module in pkgutil.iter_modules(there)]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def missing() -> list[str]:
    """The modules of the packages that vexlab installs, and that aren't there with the collection alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[^\w.-]", line)[0] for line in project["dependencies"]} - THERE
    return [module for module, names in packages_distributions().items() if wanted & {name.lower() for name in names}]


def test_what_the_checks_stand_on_needs_nothing_that_vexlab_installs() -> None:
    absent = missing()
    assert {"click", "msgspec", "rich"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *absent], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """What the checks need of one, at a place that nothing knows of."""
    for name in ("plugins", "tests/stages", "vexlab"):
        shutil.copytree(ROOT / name, tmp_path / "installed" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "installed"


def test_checks_find_what_they_stand_on_in_the_collection(collection: Path, tmp_path: Path) -> None:
    """Of a Python without vexlab: without `site`, nobody reads where an editable install is."""
    host = contract_defaults() | {"ansible_connection": "local", "vexlab_target_name": "toyfs"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": host}}}))
    checks = collection / "tests" / "stages"
    command = [
        sys.executable, "-P", "-S", "-m", "pytest", "--collect-only", "-q", f"--config-file={checks}/pytest.ini",
        f"--rootdir={checks}", "--stage=every_stage", f"--run-directory={tmp_path}", "--hosts=ansible://here",
        f"--ansible-inventory={tmp_path}/hosts.yml", f"{checks}/every_stage",
    ]  # fmt: skip
    python = {
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | python, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel.taint_is_explained" in (tmp_path / "stages" / "every_stage" / "planned").read_text().split()
