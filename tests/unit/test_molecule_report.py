"""What `make molecule` leaves for a reader and for GitHub: each check that went wrong with its reason, at its place."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PLACE = "tests/unit/test_molecule_report.py:1"  # any file of the checkout
JUNIT = """<testsuites><testsuite name="pytest" tests="2" failures="1" errors="0" skipped="0" time="1">
<testcase classname="mount.test_names" name="test_long"/>
<testcase classname="mount.test_names" name="test_many"><failure message="3 of 5">assert 3 == 5</failure></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def molecule() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_molecule", ROOT / ".ci" / "molecule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("on_github", [True, False])
def test_reason_and_place_of_what_failed(
    molecule: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    on_github: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("GITHUB_ACTIONS", "true" if on_github else "")
    stage = tmp_path / "stages" / "mount"
    stage.mkdir(parents=True)
    (stage / "junit.xml").write_text(JUNIT)
    checks = [
        {"name": "names.long", "verdict": "passed", "seconds": 0.5, "message": ""},
        {"name": "names.many", "verdict": "failed", "seconds": 0.5, "message": "\n3 of 5 | gone\nmore", "place": PLACE},
    ]
    (stage / "checks.jsonl").write_text("".join(json.dumps(check) + "\n" for check in checks))
    assert molecule.summarise("default", tmp_path, succeeded=False) == 2
    report = (tmp_path / "report.md").read_text().splitlines()
    assert report[0] == "# Scenario default: failed"
    assert report[-1] == "- stages/mount: names.many failed: 3 of 5 \\| gone"
    line = f"::error file={PLACE[:-2]},line=1,title=default%3A mount/names.many failed::3 of 5 | gone%0Amore\n"
    assert capsys.readouterr().out == (line if on_github else "")


def test_stages_are_told_in_the_order_in_which_they_run(molecule: ModuleType, tmp_path: Path) -> None:
    """Not in that of their names, by which `build` is before `structure`."""
    order = ["structure", "build", "load", "mkfs", "mount"]
    for name in sorted(order):
        (tmp_path / "stages" / name).mkdir(parents=True)
        (tmp_path / "stages" / name / "junit.xml").write_text(JUNIT)
    molecule.summarise("default", tmp_path, succeeded=True)
    rows = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("| stages/")]
    assert [row.split()[1] for row in rows] == [f"stages/{name}" for name in order]
