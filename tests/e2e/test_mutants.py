"""A handful of the mutants, of every kind: what the checks are there for, they find. `make mutants` runs all."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue
from tests.mutants.catalogue import Mutant

CHOSEN = [mutant for mutant in catalogue.load() if mutant.in_test]


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(vexlab: Vexlab, mutant: Mutant) -> None:
    judgement = catalogue.become(vexlab, mutant, vexlab.home / "source")
    assert judgement.outcome == "caught", judgement.detail
