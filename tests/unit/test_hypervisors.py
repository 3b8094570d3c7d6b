"""Which hosts of an inventory take cells, and what becomes of cells when the processes for them end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from vexlab.config.settings import Options
from vexlab.errors import UsageProblem
from vexlab.guest import hypervisors
from vexlab.guest.hypervisors import Hypervisor
from vexlab.matrix import cells, host_cell, spread
from vexlab.matrix.host_cell import HostAnswer
from vexlab.matrix.shipment import Shipment
from vexlab.matrix.spread import Spread
from vexlab.matrix.worker import Event, Task
from vexlab.results.matrix import Finding, Tier
from vexlab.results.model import Verdict

WHERE = Path("/somewhere/inventory.yml")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "inventory.yml"
    path.write_text(text)
    return path


def test_hosts_of_the_group_and_of_its_groups(tmp_path: Path) -> None:
    group = "hypervisors:\n  hosts: {a: {vexlab_places: 3}}\n  children: {rack: {hosts: {b: {}}}}\n"
    path = written(tmp_path, f"{group}other: {{hosts: {{c: {{}}}}}}\n")
    assert hypervisors.find(path) == [Hypervisor("a", path, 3), Hypervisor("b", path)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all: {hosts: {a: {}}}\n", "has no hosts in a group 'hypervisors'"),
        ("hypervisors: {hosts: {}}\n", "has no hosts in a group 'hypervisors'"),
        ("hypervisors:\n  hosts:\n    a: {}\n    a: {}\n", "inventory.yml:4:5"),
        ("hypervisors: {hosts: {a: {ansible_host: x}, b: {ansible_host: x}}}\n", "a and b in"),
        ("hypervisors: {hosts: {a: {}, b: {ansible_host: a}}}\n", "are one machine, a port 22"),
        ("hypervisors: {hosts: {a: {vexlab_places: 0}}}\n", "vexlab_places of a is 0"),
        ("hypervisors: {hosts: {a: {vexlab_places: many}}}\n", "vexlab_places of a is 'many'"),
        ("hypervisors: {hosts: {'a*': {}}}\n", "can't be the name of a host here"),
    ],
)
def test_inventory_that_cannot_be_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        hypervisors.find(written(tmp_path, text))
    assert said in problem.value.message


def test_two_ports_of_one_address_are_two_machines(tmp_path: Path) -> None:
    text = "hypervisors: {hosts: {a: {ansible_host: x}, b: {ansible_host: x, ansible_port: 2222}}}\n"
    assert len(hypervisors.find(written(tmp_path, text))) == 2


def test_inventory_that_is_not_there_names_the_example(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="there is no inventory") as problem:
        hypervisors.find(tmp_path / "none.yml")
    assert problem.value.hint == hypervisors.EXAMPLE


class Site:
    """Two hosts and four cells, and what is started and said."""

    def __init__(self, **how: Any) -> None:
        self.said: list[str] = []
        chosen = cells.plan([], ["6.1", "7.3"], [], Options())
        self.cells = [cell.name for cell in chosen]
        hosts = [Hypervisor("a", WHERE, 1), Hypervisor("b", WHERE, 1)]
        sources = dict.fromkeys(self.cells, "source")
        settled = spread.How(hosts, 60, ("--clean",), Tier.BUILD, **how)
        self.spread = Spread(
            chosen, Shipment((), "code", sources), settled, {}, directory="/matrix", say=self.said.append
        )
        self.started = [self.next(), self.next()]

    def next(self) -> Task:
        task = self.spread.following(0)
        assert task is not None
        return task

    def prepare(self, host: str, **prepared: Any) -> list[spread.Ended]:
        answer = {"home": "/home/x", "cpus": 2, "python": "/home/x/python"} | prepared
        return self.spread.take(Event(f"host {host}", answer=answer))

    def end(self, task: Task, answer: HostAnswer) -> list[spread.Ended]:
        return self.spread.take(Event(task.name, answer=msgspec.to_builtins(answer)))


PASSED = HostAnswer(Finding(Verdict.PASSED))
NO_ROOM = HostAnswer(Finding(problem="no room", exit_code=3))


def test_hosts_are_prepared_before_they_get_cells() -> None:
    site = Site()
    assert [task.name for task in site.started] == ["host a", "host b"]
    assert site.spread.following(2) is None
    assert not site.prepare("b")
    assert site.said == ["b is ready and takes 1 cell at once"]
    assert site.next().name == f"{site.cells[0]} on b"
    assert site.spread.following(2) is None, "it has one place"


def test_command_on_a_host_is_that_of_the_cell_with_its_paths_there() -> None:
    site = Site()
    site.prepare("a")
    order = msgspec.json.decode(site.next().order, type=host_cell.Order)
    assert order.command[:6] == ("/home/x/python", "-m", "vexlab", "matrix", "--build", "--format=json")
    assert order.command[-3:] == ("--clean", "--source", "/home/x/source")
    assert order.environment["PYTHONPATH"] == "/home/x/code"


def test_verdict_is_taken_with_the_host_that_found_it() -> None:
    site = Site()
    site.prepare("a")
    task = site.next()
    assert site.end(task, PASSED) == [spread.Ended(site.cells[0], PASSED.found, host="a")]
    assert [(host.name, host.cells) for host in site.spread.records()] == [("a", 1), ("b", 0)]


def test_cell_of_a_lost_host_goes_elsewhere_and_its_late_word_does_not_count() -> None:
    site = Site()
    site.prepare("a")
    first = site.next()
    assert not site.end(first, HostAnswer(lost="no sign of life for 60 s"))
    assert "goes to another host" in site.said[-1]
    site.prepare("b")
    assert site.next().name == f"{site.cells[0]} on b"
    assert not site.end(first, PASSED)


def test_process_that_died_is_the_hosts_failure_and_not_the_cells() -> None:
    site = Site()
    site.prepare("a")
    task = site.next()
    assert not site.spread.take(Event(task.name, failure="its process ended by signal 9"))
    assert "could not try" in site.said[-1]
    site.prepare("b")
    assert f"{site.cells[0]} on b" in {site.next().name, site.next().name}


def test_what_a_cell_asks_for_and_nobody_has_is_the_cells() -> None:
    site = Site()
    site.prepare("a")
    found = Finding(problem="there is no such kernel", exit_code=2)
    assert site.end(site.next(), HostAnswer(found)) == [spread.Ended(site.cells[0], found, host="a")]


def test_cells_end_when_no_host_is_left() -> None:
    site = Site()
    assert not site.prepare("a", lost="a has no QEMU")
    ended = site.prepare("b", lost="b shows another host key")
    assert [each.cell for each in ended] == site.cells
    assert {each.found.exit_code for each in ended} == {3}
    assert ended[0].found.problem == "no hypervisor could take it: a: a has no QEMU; b: b shows another host key"
    assert site.spread.is_over
    assert [host.lost for host in site.spread.records()] == ["a has no QEMU", "b shows another host key"]


def test_cells_end_when_the_last_host_is_lost_at_work() -> None:
    site = Site()
    site.prepare("a")
    site.prepare("b", lost="b has no QEMU")
    ended = site.end(site.next(), HostAnswer(lost="no sign of life for 60 s"))
    assert [each.cell for each in ended] == site.cells
    assert site.spread.is_over


ORDER = host_cell.Order("a", str(WHERE), "cell", (), {}, "/state", 60, "/matrix", "/here/src", "/home/x/source")


def result(**given: Any) -> dict[str, Any]:
    return {"free_mb": 1000, "code": 1, "why": "", "said": "", "answer": ""} | given


def answered(finding: Finding) -> str:
    [cell] = cells.plan([], ["6.1"], ["full"], Options())
    record = msgspec.structs.replace(cell.record(Tier.BUILD), found=finding)
    document = {"schema": 1, "name": "m", "tier": "build", "vexlab": "1", "started": "", "finished": "", "seconds": 1}
    document |= {"cpus": 1, "as_expected": True, "cells": [msgspec.to_builtins(record)]}
    return msgspec.json.encode(document).decode()


def test_error_of_a_host_has_the_path_of_the_source_here() -> None:
    found = Finding(Verdict.FAILED, error="/home/x/source/super.c:3: error", details="/home/x/source/a.h and more")
    answer = host_cell.judge(result(answer=answered(found)), ORDER)
    assert (answer.found.error, answer.found.details) == ("/here/src/super.c:3: error", "/here/src/a.h and more")


def test_full_disk_is_told_of_the_host_whatever_the_command_said() -> None:
    answer = host_cell.judge(result(free_mb=3, code=3, said="No space left on device"), ORDER)
    assert answer.lost == "its disk is full: 3 MB are free"
    failed = answered(Finding(Verdict.FAILED, error="write: No space left on device"))
    assert host_cell.judge(result(free_mb=3, answer=failed), ORDER).lost, "it may have failed of that"
    passed = answered(Finding(Verdict.PASSED))
    assert not host_cell.judge(result(free_mb=3, code=0, answer=passed), ORDER).lost, (
        "it came to a verdict all the same"
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"code": 3, "said": '{"event": "problem", "message": "missing: bwrap"}\n'}, "missing: bwrap"),
        ({"code": None}, "vexlab was killed with its keeper"),
        ({"code": -9, "said": "Killed\n"}, "vexlab ended with -9: Killed"),
        ({"code": 130, "why": "nobody asked for it for 60 s"}, "nobody asked for it for 60 s"),
    ],
)
def test_command_without_an_answer_says_why(given: dict[str, Any], problem: str) -> None:
    answer = host_cell.judge(result(**given), ORDER)
    assert (answer.found.verdict, answer.found.problem, answer.found.exit_code) == (Verdict.NOT_RUN, problem, 3)
