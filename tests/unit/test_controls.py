"""The controls: targets of filesystems that are right, and what `make controls` prints of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vexlab.config import stage_list
from vexlab.config.settings import Options, make

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "controls.py"
TARGETS = sorted((ROOT / "examples" / "targets" / "controls").glob("*.yml"))


@pytest.fixture(scope="module")
def controls() -> ModuleType:
    spec = importlib.util.spec_from_file_location("controls", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_control_is_a_target_of_the_kernels_own_filesystem(path: Path) -> None:
    contract = make("x", Options(target=str(path))).contract
    assert (contract["vexlab_target_name"], contract["vexlab_module_source"]) == (path.stem, "kernel")
    stages = stage_list.applicable(stage_list.stages_for(()), contract)
    assert {"load", "mount", "stress", "errors"} <= set(stages)
    assert "build" not in stages


def results(**checks: str) -> dict[str, Any]:
    """The results of a run with one stage that had these checks."""
    return {"stages": [{"name": "mount", "checks": [{"name": name, "verdict": checks[name]} for name in checks]}]}


def test_table_has_a_line_for_each_check_and_a_column_for_each_filesystem(controls: ModuleType) -> None:
    found = {
        "ext4": controls.verdicts(results(a="passed", b="failed")),
        "tmpfs": controls.verdicts(results(a="skipped")),
    }
    lines = [line.split() for line in controls.table(found).splitlines()]
    assert lines == [["ext4", "tmpfs"], ["mount/a", "ok", "-"], ["mount/b", "failed", "-"]]


def test_control_that_is_not_there_is_named() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "ext5"], capture_output=True, text=True, check=False)
    assert (done.returncode, "unknown control ext5; known: " in done.stderr) == (2, True)
