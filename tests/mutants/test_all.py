"""Every mutant is caught, by the check that is there to catch it. One pristine guest for each; it takes hours."""

from __future__ import annotations

import time

import pytest

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue
from tests.mutants.catalogue import Judgement, Mutant


@pytest.mark.parametrize("mutant", catalogue.load(), ids=lambda mutant: mutant.name)
def test_mutant_is_caught(vexlab: Vexlab, mutant: Mutant, table: list[tuple[Mutant, Judgement, float]]) -> None:
    began = time.monotonic()
    judgement = catalogue.become(vexlab, mutant, vexlab.home / "source")
    table.append((mutant, judgement, time.monotonic() - began))
    assert judgement.outcome == "caught", judgement.detail
