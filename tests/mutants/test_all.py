"""Every mutant is caught, by the check that is there to catch it. One pristine guest for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue
from tests.mutants.catalogue import Mutant


@pytest.mark.parametrize("mutant", catalogue.load(), ids=lambda mutant: mutant.name)
def test_mutant_is_caught(vexlab: Vexlab, mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    judgement = catalogue.become(vexlab, mutant, vexlab.home / "source")
    record_property("mutant", mutant.name)
    record_property("outcome", judgement.outcome)
    record_property("detail", judgement.detail)
    assert judgement.outcome == "caught", judgement.detail
