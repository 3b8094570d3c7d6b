"""Which stages belong to those that were chosen."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vexlab.config import installation, stage_list, suite_hash
from vexlab.errors import UsageProblem

ALL = ["structure", "build", "load", "mkfs", "mount", "stress", "errors"]


@pytest.mark.parametrize(
    ("chosen", "stages"),
    [
        ((), ALL),
        (("structure",), ["structure"]),
        (("mkfs",), ["structure", "build", "mkfs"]),
        (("mount",), ["structure", "build", "load", "mkfs", "mount"]),
        (("errors",), ["structure", "build", "load", "mkfs", "errors"]),
        (("errors", "mount"), ["structure", "build", "load", "mkfs", "mount", "errors"]),
    ],
)
def test_chosen_stages_bring_along_what_they_need_and_no_more(chosen: tuple[str, ...], stages: list[str]) -> None:
    assert stage_list.stages_for(chosen) == stages


def test_stage_that_nobody_knows() -> None:
    with pytest.raises(UsageProblem, match="unknown stage 'mont'"):
        stage_list.stages_for(("mont",))


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A checkout in small, with vexlab's own code in it."""
    for name in (*suite_hash.JUDGING, "vexlab", "docs"):
        path = tmp_path / name if "." in name else tmp_path / name / "inner" / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "place", [
        "ansible.cfg", "inventory/inner/file", "playbooks/inner/file", "plugins/inner/file", "roles/inner/file",
        "tests/stages/inner/file",
        "vexlab/inner/file", "vexlab/new.py",
    ],
)  # fmt: skip
def test_another_judge_is_another_suite(shipped: Path, place: str) -> None:
    before = suite_hash.tree_hash(shipped, shipped / "vexlab")
    (shipped / place).write_text("something else")
    assert suite_hash.tree_hash(shipped, shipped / "vexlab") != before


@pytest.mark.parametrize("place", ["docs/inner/file", "vexlab/inner/file.pyc", "vexlab/.hidden", "roles/inner/.cache"])
def test_what_does_not_judge_makes_no_other_suite(shipped: Path, place: str) -> None:
    before = suite_hash.tree_hash(shipped, shipped / "vexlab")
    (shipped / place).write_text("something else")
    assert suite_hash.tree_hash(shipped, shipped / "vexlab") == before


def test_wheel_has_all_that_judges_where_it_is_looked_for(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(root)]
    subprocess.run(command, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    for name in (*suite_hash.JUDGING, "examples"):
        place = str(installation.COLLECTION / name)
        assert [found for found in names if found == place or found.startswith(f"{place}/")], name
    assert "vexlab/config/target.schema.json" in names
    templates = {str(path.relative_to(root)) for path in (root / "vexlab/report/templates").iterdir()}
    assert "vexlab/report/templates/report.md.j2" in templates <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".ko", ".o"))]


def test_suite_is_the_same_installed_and_in_a_checkout(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Installed, what is shipped is beside the package, in a collection."""
    package = tmp_path_factory.mktemp("site-packages") / "vexlab"
    shutil.copytree(shipped / "vexlab", package)
    collection = package.parent / installation.COLLECTION
    shutil.copytree(shipped, collection, ignore=shutil.ignore_patterns("vexlab"))
    assert suite_hash.tree_hash(collection, package) == suite_hash.tree_hash(shipped, shipped / "vexlab")
