"""Fixtures of the injected faults; what was seen of each is kept for the document when `--seen` names a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import vexlab
from tests.e2e.harness import VEXFS, Vexlab
from tests.faults.fault import Fault
from tests.faults.fault_site import Site
from tests.mutants import catalogue

__all__ = ["vexlab"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seen", metavar="FILE", help="Append what was seen of each fault to this file.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each entry of FAULTS in a file with a test that takes a `fault`."""
    if "fault" in metafunc.fixturenames:
        marks = {True: (), False: (pytest.mark.thorough,)}
        faults = [pytest.param(fault, marks=marks[fault.in_test], id=str(fault)) for fault in metafunc.module.FAULTS]
        metafunc.parametrize("fault", faults)


@pytest.fixture(scope="module")
def site(vexlab: Vexlab) -> Site:
    """One home and lab for the faults of a file."""
    source = vexlab.home / "source"
    shutil.copytree(VEXFS, source)
    return Site(vexlab, source)


@pytest.fixture
def suffer(site: Site, request: pytest.FixtureRequest) -> Iterator[Callable[[Fault], None]]:
    """Inject a fault and demand that what came of it is as wanted."""
    record = request.config.getoption("--seen")
    topic = request.path.stem.removeprefix("test_").replace("_", " ")

    def demand(fault: Fault) -> None:
        seen = site.suffer(topic, fault)
        if record:
            seen.write(Path(record))
        assert not seen.wrong, "\n".join(seen.wrong)

    yield demand
    catalogue.refresh(site.source)  # a fault may have spoilt it
