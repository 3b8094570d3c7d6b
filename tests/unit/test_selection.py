"""What `make test` leaves out is in `make test-all`; each kind is in both, and tests that share a lab stay together."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.conftest import ByLab
from tests.faults import document
from tests.mutants import catalogue

ROOT = Path(__file__).parents[2]


@functools.cache
def runner() -> ModuleType:
    """What make calls."""
    spec = importlib.util.spec_from_file_location("runner", ROOT / ".ci" / "test.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def collected(part: str) -> frozenset[str]:
    """Names of the tests in a part, as pytest would run them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *runner().TESTS[part]]
    words = [word for word in command if not word.startswith("--seen")]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=True)
    return frozenset(line for line in done.stdout.splitlines() if "::" in line)


def test_nothing_is_in_one_alone() -> None:
    assert collected("guests") < collected("all-guests")
    assert collected("e2e") | collected("mutants") | collected("faults") == collected("all-guests")


def test_all_has_every_mutant_fault_and_scenario() -> None:
    every = collected("all-guests")
    count = len(catalogue.load())
    assert sum(name.startswith("tests/mutants/") for name in every) == count
    assert sum(name.startswith("tests/faults/") for name in every) == sum(map(len, document.faults().values()))
    scenarios = sum(name.startswith("tests/e2e/test_documented.py::test_scenario[") for name in every)
    assert scenarios == len(list((ROOT / "molecule").glob("*/molecule.yml")))


def test_make_test_has_some_of_each_kind() -> None:
    short = collected("guests")
    assert "tests/e2e/test_gate.py::test_every_stage_passes" in short
    assert sum("test_documented.py::test_scenario" in name for name in short) == 1
    assert 3 <= sum(name.startswith("tests/mutants/") for name in short) <= 8
    assert 2 <= sum(name.startswith("tests/faults/") for name in short) <= 10
    for name in ("test_interrupted", "test_bad_input", "test_up"):
        assert any(one.startswith(f"tests/e2e/{name}.py") for one in short)


def test_a_file_stays_together_and_mutants_do_not() -> None:
    scope = ByLab.__new__(ByLab)._split_scope
    assert scope("tests/e2e/test_up.py::test_a[x::y]") == scope("tests/e2e/test_up.py::T::test_b")
    assert scope("tests/mutants/test_all.py::test[a]") != scope("tests/mutants/test_all.py::test[b]")
