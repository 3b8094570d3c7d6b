"""Cells given to hypervisors: which process is started next, and what each that ended means for the schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vexlab.guest.hypervisors import Hypervisor
from vexlab.hosts import preparation
from vexlab.hosts.preparation import Prepared
from vexlab.hosts.shipment import STATE, TARGET
from vexlab.matrix import host_cell, host_preparation, schedule
from vexlab.matrix.cells import Cell
from vexlab.matrix.host_cell import HostAnswer
from vexlab.matrix.schedule import Assignment, Earlier
from vexlab.matrix.shipment import Shipment
from vexlab.matrix.worker import Event, Task
from vexlab.results.matrix import Finding, HostRecord, Tier
from vexlab.results.model import Verdict

OF_MACHINE = 3  # exit code of what says nothing of a cell


@dataclass(frozen=True)
class How:
    """The hypervisors, when one of them is silent for too long, and how cells are done.

    `words` are options of `vexlab matrix` that all cells have; `at_once` are as many cells as any host gets at once.
    """

    hosts: Sequence[Hypervisor]
    patience: float
    words: tuple[str, ...]
    tier: Tier
    at_once: int | None = None


@dataclass(frozen=True)
class Ended:
    """A cell that is over, and the host that did it; without one, nobody could."""

    cell: str
    found: Finding
    kept: bool = False
    host: str = ""


class Spread:
    """Gives cells to hosts. Use once: `following` says what is started, and `take` gets what comes of it."""

    def __init__(
        self, cells: Sequence[Cell], shipment: Shipment, how: How, earlier: Mapping[str, Earlier], *, directory: str,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Prepare; nothing is started. `directory` gets the logs of cells, and `say` what becomes of hosts."""
        self._cells = {cell.name: cell for cell in cells}
        self._shipment = shipment
        self._how = how
        self._directory = directory
        self._say = say
        self._hosts = {host.name: host for host in how.hosts}
        self._to_prepare = list(how.hosts)
        self._prepared: dict[str, Prepared] = {}
        self._tasks: dict[str, Assignment | Hypervisor] = {}
        self._verdicts: Counter[str] = Counter()
        self._schedule = schedule.begin(list(self._hosts), list(self._cells), earlier)

    @property
    def is_over(self) -> bool:
        """Whether every cell has ended."""
        return self._schedule.is_over

    def records(self) -> tuple[HostRecord, ...]:
        """What is known of each host."""
        return tuple(HostRecord(name, self._verdicts[name], host.lost) for name, host in self._schedule.hosts.items())

    def following(self, _at_work: int) -> Task | None:
        """What is to be started next, if anything is."""
        if self._to_prepare:
            return self._preparation(self._to_prepare.pop(0))
        if (given := self._schedule.next()) is None:
            return None
        self._schedule = self._schedule.give(given)
        return self._work(given)

    def subject(self, event: Event) -> tuple[str, str]:
        """The host that an event is about, and its cell; empty while the host is prepared."""
        of = self._tasks[event.name]
        return (of.host, of.cell) if isinstance(of, Assignment) else (of.name, "")

    def take(self, event: Event) -> list[Ended]:
        """Take the end of a process; the cells that are over by it."""
        of = self._tasks[event.name]
        if isinstance(of, Hypervisor):
            self._take_host(of, event)
            return self._nobodys()
        if not self._schedule.is_given(of):
            return []
        failure = HostAnswer(Finding(problem=event.failure, exit_code=OF_MACHINE))
        answer = msgspec.convert(event.answer, HostAnswer) if event.answer is not None else failure
        if answer.lost:
            self._lose(of.host, answer.lost)
        elif answer.found.verdict is Verdict.NOT_RUN and answer.found.exit_code in (0, OF_MACHINE):
            self._give_back(of, answer.found.problem)
        else:
            self._schedule = self._schedule.end(of)
            self._verdicts[of.host] += 1
            return [Ended(of.cell, answer.found, answer.kept, of.host)]
        return self._nobodys()

    def _take_host(self, host: Hypervisor, event: Event) -> None:
        prepared = msgspec.convert(event.answer, Prepared) if event.answer is not None else Prepared(lost=event.failure)
        if prepared.lost:
            self._lose(host.name, prepared.lost)
            return
        self._prepared[host.name] = prepared
        places = host.places or (prepared.cpus if self._how.tier is Tier.BUILD else 1)
        places = min(places, self._how.at_once or places)
        self._schedule = self._schedule.ready(host.name, places)
        self._say(f"{host.name} is ready and takes {places} cell{'s' * (places != 1)} at once")

    def _give_back(self, of: Assignment, reason: str) -> None:
        self._say(f"{of.host} could not try {self._called(of.cell)}, which goes to another host: {reason}")
        before = self._schedule
        self._schedule = before.give_back(of, reason)
        if self._schedule.hosts[of.host].lost and not before.hosts[of.host].lost:
            self._say(f"{of.host} is lost: it could not try {schedule.IN_A_ROW} cells in a row")

    def _lose(self, host: str, reason: str) -> None:
        taken = [self._called(cell) for cell, owner in self._schedule.given.items() if owner == host]
        others = f"; {', '.join(taken)} go{'es' * (len(taken) == 1)} to another host" if taken else ""
        self._say(f"{host} is lost: {reason}{others}")
        self._schedule = self._schedule.lose(host, reason)

    def _nobodys(self) -> list[Ended]:
        """The cells that no host can take any more."""
        found = []
        for cell, reason in list(self._schedule.nobodys()):
            self._schedule = self._schedule.drop(cell)
            problem = f"no hypervisor could take it: {reason}"
            found.append(Ended(cell, Finding(problem=problem, hint="vexlab matrix again", exit_code=OF_MACHINE)))
        return found

    def _called(self, name: str) -> str:
        cell = self._cells[name]
        return f"{cell.settings.target_name} {cell.kernel} {cell.variant}"

    def _preparation(self, host: Hypervisor) -> Task:
        order = host_preparation.Order(host.name, str(host.inventory), self._shipment.items)
        return self._task(f"host {host.name}", host_preparation.__name__, order, host)

    def _work(self, given: Assignment) -> Task:
        cell, host = self._cells[given.cell], self._hosts[given.host]
        home, python = self._prepared[host.name].home, self._prepared[host.name].python
        words = [python, "-m", "vexlab", "matrix", f"--{self._how.tier}", "--format=json", "--progress=json"]
        words += ["--kernel", cell.kernel, "--variant", cell.variant, *self._how.words]
        source, target = self._shipment.sources.get(cell.name, ""), self._shipment.targets.get(cell.name, "")
        words += ["--source", f"{home}/{source}"] if source else []
        words += ["--target", f"{home}/{target}/{TARGET}"] if target else []
        environment = preparation.environment(home, f"{home}/{self._shipment.code}", STATE)
        order = host_cell.Order(
            host.name, str(host.inventory), cell.name, tuple(words), environment, f"{home}/{STATE}/vexlab",
            self._how.patience, self._directory, cell.settings.source, f"{home}/{source}" if source else "",
        )  # fmt: skip
        return self._task(f"{given.cell} on {given.host}", host_cell.__name__, order, given)

    def _task(self, name: str, module: str, order: msgspec.Struct, of: Assignment | Hypervisor) -> Task:
        self._tasks[name] = of
        return Task(name, module, msgspec.json.encode(order))
