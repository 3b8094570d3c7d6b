"""The page for somebody's own filesystem: its target file is one, and its commands print what it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.source_trees import TOYFS, write
from vexlab.guest.inside import edges

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-filesystem.md").read_text(encoding="utf-8")
TARGET = PAGE.partition("```yaml\n")[2].partition("```")[0]
SHOWN = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The toy's source with the page's target file beside it, and the one with the misspelt field."""
    files = {"vexlab.yml": TARGET, "misspelt.yml": TARGET.replace("vexlab_module_name", "vexlab_modul_name")}
    return write(tmp_path, {**TOYFS, **files})


def test_target_file_has_as_many_lines_as_the_heading_says() -> None:
    said = re.search(r"^## 1\. Describe it: (\d+) lines", PAGE, re.M)
    assert said
    assert TARGET.count("\n") == int(said[1])


@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=[command for command, _ in SHOWN])
def test_command_prints_what_the_page_shows(command: str, printed: str, tree: Path) -> None:
    """Those that need no guest: what a reader types first has to come out as it is shown."""
    tool, *arguments = shlex.split(command)
    assert tool == "vexlab"
    done = subprocess.run(
        [sys.executable, "-m", "vexlab", *arguments], cwd=tree, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == printed
    assert ("✘" in printed or "vexlab: " in printed) == (done.returncode == 2)


def test_page_shows_each_command_that_it_explains() -> None:
    assert {" ".join(command.split()[1:3]) for command, _ in SHOWN} >= {"target check", "checks --target"}


def test_page_tells_the_largest_files_as_the_checks_have_them() -> None:
    [big] = re.findall(r"^BIG = (\d+)  # MiB", (ROOT / "tests/stages/mount/test_files.py").read_text(), re.M)
    assert f"| a file that is written through | {big} MiB," in PAGE
    assert f"| {edges.WRITTEN >> 20} MiB, and never more than half of the free room |" in PAGE
