"""Which host takes which cell next, and what becomes of the cells of a host that is lost. Decides, and does nothing.

A cell is given to a host at most once. What a host says of a cell counts only while the cell is given to it: a host
that was taken for lost, and speaks up later, finds that its cells are somebody else's.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MOST_HOSTS = 3  # that fail at a cell, before it is taken for the cell's fault
IN_A_ROW = 2  # cells that a host can't try, one after the other, before it is taken for the host's fault


@dataclass(frozen=True)
class Earlier:
    """How long a cell took the last time, and the host that has what was built then."""

    seconds: float
    host: str = ""


@dataclass(frozen=True)
class Assignment:
    """A cell that is given to a host."""

    cell: str
    host: str


@dataclass(frozen=True)
class Host:
    """A host: how many cells it takes at once, none before it is prepared; why it is lost; what it couldn't try."""

    places: int = 0
    lost: str = ""
    failures: int = 0  # in a row


@dataclass(frozen=True)
class Schedule:
    """What is known at a moment. `waiting` are the cells that nobody has, in the order in which they are given.

    `given` has the hosts of those at work. `failed` has what each host said that could not try a cell, by cell.
    """

    hosts: Mapping[str, Host]
    waiting: tuple[str, ...]
    earlier: Mapping[str, Earlier]
    given: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether every cell has ended."""
        return not self.waiting and not self.given

    def is_given(self, assignment: Assignment) -> bool:
        """Whether the cell is this host's: what anybody else says of it doesn't count."""
        return self.given.get(assignment.cell) == assignment.host

    def next(self) -> Assignment | None:
        """The next cell that can be given, and the host for it.

        A host gets the cells first that it had the last time, since it has kept what didn't change. No host waits for
        that: one that has a place and no such cell gets any other.
        """
        for cell in self.waiting:
            known = self.earlier[cell].host if cell in self.earlier else ""
            if known in self.hosts and self._may(known, cell) and self._free(known) > 0:
                return Assignment(cell, known)
        for cell in self.waiting:
            free = {name: self._free(name) for name in self.hosts if self._may(name, cell) and self._free(name) > 0}
            if free:
                return Assignment(cell, max(free, key=lambda name: free[name]))
        return None

    def nobodys(self) -> Iterator[tuple[str, str]]:
        """The cells that no host can take, now or later, each with the reason."""
        for cell in self.waiting:
            if not any(self._may(name, cell) for name in self.hosts):
                yield cell, self._why_not(cell)

    def ready(self, host: str, places: int) -> Schedule:
        """A host is prepared."""
        return self._with_host(host, places=places)

    def give(self, assignment: Assignment) -> Schedule:
        """A cell begins on a host."""
        return self._without(assignment.cell, given={**self.given, assignment.cell: assignment.host})

    def end(self, assignment: Assignment) -> Schedule:
        """A host has the verdict of a cell that is given to it."""
        return self._without(assignment.cell)._with_host(assignment.host, failures=0)

    def drop(self, cell: str) -> Schedule:
        """A cell ends that nobody can take."""
        return self._without(cell)

    def give_back(self, assignment: Assignment, reason: str) -> Schedule:
        """A host can't try a cell that is given to it, and another one is to."""
        failures = self.hosts[assignment.host].failures + 1
        known = {**self.failed.get(assignment.cell, {}), assignment.host: reason}
        after = self._to_wait([assignment.cell], {**self.failed, assignment.cell: known})
        after = after._with_host(assignment.host, failures=failures)
        return after.lose(assignment.host, reason) if failures >= IN_A_ROW else after

    def lose(self, host: str, reason: str) -> Schedule:
        """A host takes no more cells, and those that it has are to be given to others."""
        if self.hosts[host].lost:
            return self
        cells = [cell for cell, owner in self.given.items() if owner == host]
        failed = {cell: {**self.failed.get(cell, {}), host: reason} for cell in cells}
        return self._to_wait(cells, {**self.failed, **failed})._with_host(host, lost=reason)

    def _free(self, host: str) -> int:
        return self.hosts[host].places - sum(owner == host for owner in self.given.values())

    def _may(self, host: str, cell: str) -> bool:
        """Whether a host may take a cell, when it has a place."""
        tried = self.failed.get(cell, {})
        return not self.hosts[host].lost and host not in tried and len(tried) < MOST_HOSTS

    def _why_not(self, cell: str) -> str:
        if tried := self.failed.get(cell):
            return "; ".join(f"{host}: {reason}" for host, reason in tried.items())
        return "; ".join(f"{name}: {host.lost}" for name, host in self.hosts.items() if host.lost)

    def _to_wait(self, cells: Sequence[str], failed: Mapping[str, Mapping[str, str]]) -> Schedule:
        """The same with these cells at the front: they have waited longest."""
        given = {cell: host for cell, host in self.given.items() if cell not in cells}
        return dataclasses.replace(self, waiting=(*cells, *self.waiting), given=given, failed=failed)

    def _without(self, gone: str, given: Mapping[str, str] | None = None) -> Schedule:
        left = {cell: host for cell, host in self.given.items() if cell != gone}
        waiting = tuple(cell for cell in self.waiting if cell != gone)
        return dataclasses.replace(self, waiting=waiting, given=left if given is None else given)

    def _with_host(self, name: str, **changed: int | str) -> Schedule:
        host = dataclasses.replace(self.hosts[name], **changed)  # type: ignore[arg-type]
        return dataclasses.replace(self, hosts={**self.hosts, name: host})


def begin(hosts: Sequence[str], cells: Sequence[str], earlier: Mapping[str, Earlier]) -> Schedule:
    """The beginning: no host is prepared, and every cell waits.

    Those that took longest come first, so that none of them is left alone at the end. One of which nothing is known may
    be as long, and comes before.
    """
    unknown = [cell for cell in cells if cell not in earlier]
    known = sorted((cell for cell in cells if cell in earlier), key=lambda cell: -earlier[cell].seconds)
    return Schedule({name: Host() for name in hosts}, tuple(itertools.chain(unknown, known)), earlier)
