"""docs/checks.md says what the checks say of themselves; each says something."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vexlab.config import check_list, target

ROOT = Path(__file__).parents[2]

ODD = '''"""Odd
ones."""
import pytest

CASES = pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requires("mmap")), 2])
pytestmark = [pytest.mark.needs("device"), pytest.mark.requires("read-write")]

@CASES
@pytest.mark.requires("rename", "directories")
def test_one(x):
    """EIO | `a|b` and *all* of <it>,

    in two paragraphs (rename(2)).
    """

def test_silent():
    pass

def helper():
    """No check."""
'''


@pytest.fixture(scope="module")
def checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("checks_document", ROOT / ".ci" / "checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_document_is_current(checks: ModuleType) -> None:
    assert checks.DOCUMENT.read_text(encoding="utf-8") == checks.document(), "write it anew: python .ci/checks.py"


def test_lengths_of_symbolic_links_are_those_that_are_promised() -> None:
    """What the capability says of them, in the schema and in targets.md."""
    text = (ROOT / "tests/stages/mount/test_links.py").read_text(encoding="utf-8")
    lengths = ast.literal_eval(text.partition("LENGTHS = ")[2].partition("\n")[0])
    said = f"targets of {min(lengths)} to {max(lengths):,} bytes"
    assert said in str(target.schema()["properties"]["vexlab_capabilities"])
    assert said in (ROOT / "docs/targets.md").read_text(encoding="utf-8")


def test_each_check_says_why_it_is_there() -> None:
    """A failure shows it first."""
    silent = [check.full_name for check in check_list.checks() if not check.promise]
    assert silent == []


def test_any_docstring_is_a_cell(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_odd.py").write_text(ODD)
    lines = list(checks.section("Odd", tmp_path))
    assert lines[1] == "### `odd`\n\nOdd ones.\n"
    promise = r"EIO \| `a\|b` and \*all\* of \<it\>, in two paragraphs (rename(2))."
    needs = "`read-write`, `rename`, `directories`, a device, more in some cases"
    assert lines[3:] == [f"| `odd.one` | {promise} | {needs} |", "| `odd.silent` |  | `read-write`, a device |", ""]
