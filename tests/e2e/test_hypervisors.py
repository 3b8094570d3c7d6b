"""The process of a cell on a real host that dies, loses its link, fills up, or is told to end; the cell only sleeps."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.e2e import hypervisor_site
from tests.e2e.hypervisor_site import Host, Site
from vexlab.matrix import host_cell, worker
from vexlab.matrix.host_cell import HostAnswer
from vexlab.matrix.worker import Event, Task
from vexlab.results.model import Verdict

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(hypervisor_site.why_not()), reason=hypervisor_site.why_not() or "it can"),
]
PATIENCE = 25
SECONDS = 20  # that a cell takes


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two hypervisors; what one test does to a host, it undoes."""
    place = Path(tempfile.mkdtemp(prefix="vexlab-hypervisors-"))
    try:
        with hypervisor_site.site(place, memory_mb=100) as made:
            yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What vexlab keeps of its own is the test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def cell_on(host: Host, site: Site, tmp_path: Path) -> Task:
    """A cell that sleeps and then fails, without any answer."""
    command = ("sh", "-c", f"sleep {SECONDS}; echo it failed >&2; exit 1")
    state = str(host.home / ".local" / "state" / "vexlab")
    order = host_cell.Order(
        host.name, str(site.inventory), "cell", command, {"LC_ALL": "C"}, state, PATIENCE, str(tmp_path)
    )
    return Task("cell", host_cell.__name__, msgspec.json.encode(order))


def is_at_work(host: Host) -> bool:
    return any(line.startswith(f"sleep {SECONDS}") for line in host.at_work())


def done_while(host: Host, site: Site, tmp_path: Path, meddle: Callable[[], object]) -> HostAnswer:
    """What comes of a cell when something happens to its host in the middle of it."""

    def wait_and_meddle() -> None:
        while not is_at_work(host):
            time.sleep(0.2)
        meddle()

    threading.Thread(target=wait_and_meddle, daemon=True).start()
    [answer] = [event.answer for event in worker.run([cell_on(host, site, tmp_path)], 1, 60) if event and event.answer]
    return msgspec.convert(answer, HostAnswer)


def assert_nothing_is_left(host: Host, patience: float) -> None:
    deadline = time.monotonic() + patience
    while left := host.at_work():
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def test_host_that_dies_is_lost_and_ends_its_cell_itself(site: Site, tmp_path: Path) -> None:
    host, _ = site.hosts
    answer = done_while(host, site, tmp_path, host.kill_sshd)
    host.start_sshd()
    assert "can't be reached: connection refused" in answer.lost
    assert_nothing_is_left(host, PATIENCE + 20)


def test_link_that_comes_back_in_time_costs_nothing(site: Site, tmp_path: Path) -> None:
    host, _ = site.hosts

    def cut() -> None:
        host.link("down")
        time.sleep(PATIENCE / 3)
        host.link("up")

    answer = done_while(host, site, tmp_path, cut)
    assert not answer.lost
    assert answer.found.problem == "vexlab ended with 1: it failed"


def test_link_that_stays_cut_costs_the_host_and_leaves_nothing_there(site: Site, tmp_path: Path) -> None:
    host, _ = site.hosts
    answer = done_while(host, site, tmp_path, lambda: host.link("down"))
    assert_nothing_is_left(host, PATIENCE + 20)
    host.link("up")
    assert answer.lost == f"no sign of life for {PATIENCE} s"


def test_full_disk_costs_the_host_whatever_the_cell_says(site: Site, tmp_path: Path) -> None:
    _, host = site.hosts
    answer = done_while(host, site, tmp_path, host.fill)
    (host.home / "filler").unlink()
    assert answer.lost == "its disk is full: 0 MB are free"
    assert answer.found.verdict is Verdict.NOT_RUN


def test_cell_that_is_interrupted_is_ended_there(site: Site, tmp_path: Path) -> None:
    host, _ = site.hosts
    with contextlib.closing(worker.run([cell_on(host, site, tmp_path)], 1, 60)) as events:
        for event in events:
            assert event is None or isinstance(event, Event)
            if is_at_work(host):
                break
    assert_nothing_is_left(host, 5)  # it was told, and didn't wait for nobody to ask


def test_host_with_another_key_is_not_let_in(site: Site, tmp_path: Path) -> None:
    host, _ = site.hosts
    host.kill_sshd()
    host.new_host_key()
    host.start_sshd()
    answers = [event.answer for event in worker.run([cell_on(host, site, tmp_path)], 1, 60) if event and event.answer]
    site.know()
    assert [answer["lost"] for answer in answers] == [
        f"{host.name} shows another host key than the one in known_hosts: it was set up anew, or it isn't {host.name}"
    ]
