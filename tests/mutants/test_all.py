"""Every mutant is caught, by the check that is there to catch it. One pristine guest for each.

A handful of them, of every kind, is not marked `thorough`: what the checks are there for, they find.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue
from tests.mutants.catalogue import Mutant


def parameters() -> list[ParameterSet]:
    """Each mutant, marked by its entry in the catalogue."""
    marks = {True: (), False: (pytest.mark.thorough,)}
    return [pytest.param(mutant, marks=marks[mutant.in_test], id=mutant.name) for mutant in catalogue.load()]


@pytest.mark.parametrize("mutant", parameters())
def test_mutant_is_caught(vexlab: Vexlab, mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    judgement = catalogue.become(vexlab, mutant, vexlab.home / "source")
    record_property("mutant", mutant.name)
    record_property("outcome", judgement.outcome)
    record_property("detail", judgement.detail)
    assert judgement.outcome == "caught", judgement.detail
