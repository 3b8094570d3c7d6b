"""A matrix on two hypervisors, of which one dies: no cell is lost, and none is twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import hypervisor_site
from tests.e2e.harness import ROOT, Done, Vexlab, wait_until
from tests.e2e.hypervisor_site import Host, Site

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(hypervisor_site.why_not()), reason=hypervisor_site.why_not() or "it can"),
]
KERNELS = ("--kernel", "6.12", "--kernel", "6.1")
PATIENCE = 25


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two hypervisors; what one test does to a host, it undoes."""
    place = Path(tempfile.mkdtemp(prefix="vexlab-hypervisors-"))
    try:
        with hypervisor_site.site(place) as made:
            yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two targets, so that two kernels make four cells; each takes a while, so that there is time to meddle."""
    found = []
    for name in ("one", "two"):
        place = tmp_path_factory.mktemp(name)
        shutil.copytree(ROOT / "examples" / "nodev", place / "nodev")
        with (place / "nodev" / "Kbuild").open("a") as kbuild:
            kbuild.write(f"# {name}\n$(shell sleep 6)\n")
        text = (ROOT / "examples" / "targets" / "nodev.yml").read_text()
        text = text.replace("vexlab_source: ../nodev", "vexlab_source: nodev")
        (place / "vexlab.yml").write_text(text)
        found += ["--target", str(place / "vexlab.yml")]
    return found


@pytest.fixture
def begin(vexlab: Vexlab, site: Site, targets: list[str]) -> Callable[..., subprocess.Popen[str]]:
    """Begins a matrix on the two hypervisors."""

    def start(*more: str) -> subprocess.Popen[str]:
        words = ("--hypervisors", str(site.inventory), "--patience", str(PATIENCE), "--format", "json", *KERNELS)
        return vexlab.start("matrix", "--build", *words, *targets, *more)

    return start


def cells(done: Done) -> list[dict[str, Any]]:
    """What came of each cell: all four, with a verdict each, as the target file expects."""
    found: list[dict[str, Any]] = done.document["cells"]
    assert len({cell["name"] for cell in found}) == 4
    assert [cell["found"]["verdict"] for cell in found] == ["passed", "failed"] * 2
    return found


def lost(done: Done) -> dict[str, str]:
    """Why each host that is lost is so."""
    return {host["name"]: host["lost"] for host in done.document["hosts"] if host["lost"]}


def wait_for_work(host: Host, process: subprocess.Popen[str]) -> None:
    """Until a cell is in the middle of its build there."""
    wait_until(lambda: any(line.startswith("sleep 6") for line in host.at_work()), process)


def wait_for_nothing(*hosts: Host, patience: float = PATIENCE + 40) -> None:
    """Until no host has anything at work."""
    deadline = time.monotonic() + patience
    while left := [line for host in hosts for line in host.at_work()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def test_cells_are_spread_and_come_home(
    vexlab: Vexlab, site: Site, begin: Callable[..., subprocess.Popen[str]]
) -> None:
    done = vexlab.finish(begin())
    assert done.code == 0, done.stderr
    found = cells(done)
    assert {cell["host"] for cell in found} == {host.name for host in site.hosts}
    assert not lost(done)
    assert sum(host["cells"] for host in done.document["hosts"]) == 4
    matrix = vexlab.home / "state" / "vexlab" / "matrices" / done.document["name"]
    assert json.loads((matrix / "matrix.json").read_text()) == done.document
    assert {path.stem for path in matrix.glob("*.log")} == {cell["name"] for cell in found}
    assert "memfs.c" in next(cell["found"]["error"] for cell in found if cell["kernel"] == "6.1")
    assert not any("/home/" in cell["found"]["error"] for cell in found), "a path is that of the source here"
    wait_for_nothing(*site.hosts)
    again = vexlab.finish(begin())
    assert again.code == 0, again.stderr
    former = {cell["name"]: cell["host"] for cell in found}
    assert all(cell["kept"] == (cell["host"] == former[cell["name"]]) for cell in cells(again))
    assert any(cell["kept"] for cell in cells(again))
    assert "is sent what it lacks" in done.stderr
    assert "is sent what it lacks" not in again.stderr


def test_host_that_dies_in_mid_cell_loses_none(
    vexlab: Vexlab, site: Site, begin: Callable[..., subprocess.Popen[str]]
) -> None:
    dead, alive = site.hosts
    matrix = begin("--clean")
    wait_for_work(dead, matrix)
    dead.kill_sshd()
    try:
        done = vexlab.finish(matrix)
        assert done.code == 0, done.stderr
        assert {cell["host"] for cell in cells(done)} == {alive.name}
        assert list(lost(done)) == [dead.name]
        assert "can't be reached" in lost(done)[dead.name]
        wait_for_nothing(*site.hosts)
    finally:
        dead.start_sshd()
