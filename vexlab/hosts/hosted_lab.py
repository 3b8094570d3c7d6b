"""A lab that a hypervisor has: what is kept of it here, and what is done with it there, by `vexlab` there.

Here, beside the options that a lab remembers, there is a record of the host. There, what is given to the lab, its own
directory and its runs are below a directory of this machine's alone: no lab of that user's is in the way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vexlab.config import user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.errors import HostProblem, Interrupted, VexlabError
from vexlab.guest.hypervisors import Hypervisor
from vexlab.guest.lab import Lab
from vexlab.hosts import leases, preparation, runs_home, shipment
from vexlab.hosts.leases import Leased
from vexlab.hosts.lines import Lines
from vexlab.hosts.playbook import AFTERWARDS, HostPlaybook
from vexlab.hosts.shipment import STATE, TARGET, Item
from vexlab.run import scratch
from vexlab.run.events import Event

INVENTORY = "hypervisors.yml"  # in the lab's directory, of a host that no inventory has
SENT, SOURCE = "sent", "source"  # the source as it came, and the directory that the guest has of it, which stays
TARGET_FILE, KNOWN_FAILURES = f"target/{TARGET}", f"known-failures/{TARGET}"
RUNS = "runs.tar.gz"  # playbooks/runs_home.yml brings it
LAST_WORDS = 30  # seconds that a host gets beyond those in which it ends a command
Say = Callable[[str], None]


class Record(Struct, frozen=True):
    """What is kept of the host: as which it is known to which inventory, and how vexlab is run there."""

    host: str
    inventory: str
    home: str
    python: str
    code: str
    patience: int


@dataclass(frozen=True)
class Given:
    """What a lab there is given of this machine: paths of here, empty for what it doesn't have; text of settings.

    `contract` says which image its guest needs; None for a lab that has its guest.
    """

    source: str = ""
    target: str = ""
    known_failures: str = ""
    settings: str = ""
    contract: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Tell:
    """Who is told of a command there: `line` gets each line that it writes on stderr, `say` what is said of it here."""

    line: Say
    say: Say


@dataclass(frozen=True)
class Ended:
    """How a command there ended: its exit code, what it wrote on stdout, and why its evidence isn't here, if so."""

    code: int
    answer: str
    missing: str


@dataclass(frozen=True)
class HostedLab:
    """A lab, and the record of the hypervisor that has it."""

    lab: Lab
    record: Record

    @property
    def hypervisor(self) -> Hypervisor:
        """The host, as it is known to its inventory now."""
        return Hypervisor(self.record.host, Path(self.record.inventory))

    @property
    def given(self) -> str:
        """Directory there of what the lab is given."""
        return f"{self.record.home}/{_given(self.lab)}"

    @property
    def state(self) -> str:
        """Vexlab's directory there of the labs and runs of this machine."""
        return f"{self.record.home}/{_place()}/vexlab"

    @property
    def directory(self) -> str:
        """The lab's own directory there."""
        return f"{self.state}/labs/{self.lab.name}"

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a command has there."""
        return preparation.environment(self.record.home, self.record.code, _place())

    def words(self, *words: str) -> list[str]:
        """A command of vexlab there."""
        return [self.record.python, "-m", "vexlab", *words]

    def in_shell(self, *words: str) -> list[str]:
        """The same for a shell there, with its environment."""
        return ["env", *(f"{name}={value}" for name, value in self.environment.items()), *self.words(*words)]

    def forget(self) -> None:
        """Keep nothing of the lab here."""
        shutil.rmtree(self.lab.directory, ignore_errors=True)

    def run(self, words: Sequence[str], given: Given | None, tell: Tell, *, forgets: bool = False) -> Ended:
        """Run a command there to its end, and bring the lab's runs.

        `given`: what it is given anew. `forgets`: after one that passed, nothing that was given is needed any more.
        Raises HostProblem when the host fails at it; Interrupted at Ctrl-C, when it was told to end it.
        """
        own = {f"{self.given}/{SOURCE}": given.source} if given and given.source else {}
        own[f"{self.state}/runs"] = str(user_directories.runs_directory())
        lines, last = Lines(tell.line, own), dict[str, Any]()

        def take(event: Event) -> None:
            if result := leases.told(event):
                last.update(result)
                lines.take(result)

        leased = Leased(f"{self.given}/command-{secrets.token_hex(4)}", self.words(*words), self.environment)
        variables = {
            "vexlab_hosted": {
                "directory": self.given, "settings": given.settings if given else None,
                "has_source": bool(given and given.source),
            },
            "vexlab_leased": leased.variables(self.record.patience),
        }  # fmt: skip
        with scratch.directory() as home:
            try:
                self._play("hosted", variables, home, self.record.patience, take)
            except Interrupted:
                self._end(variables, home, tell)
                raise
            except HostProblem as problem:
                ends = f"what was begun there ends by itself within {self.record.patience} s" if last else ""
                raise _of_host(self.record.host, problem, ends) from None
            code, missing = self._code(last), self._bring_runs(home)
            if forgets and code == 0 and not missing:  # what is removed there is here
                missing = self._bring_runs(home, forgets=True)
            return Ended(code, str(last["answer"]), missing)

    def _end(self, variables: Mapping[str, Any], home: Path, tell: Tell) -> None:
        """End what goes on there and bring its runs; a host that doesn't answer ends it by itself, after a while."""
        host, patience = self.record.host, self.record.patience
        tell.say(f"interrupted; {host} is told to end it")
        try:
            self._play("leased_end", variables, home, leases.GRACE + LAST_WORDS, lambda _: None)
        except HostProblem as problem:
            tell.say(f"{problem.message}; what goes on there ends by itself within {patience} s")
            return
        if why := self._bring_runs(home):
            tell.say(f"the evidence comes home with the next command on the lab: {why}")

    def _bring_runs(self, home: Path, *, forgets: bool = False) -> str:
        """Bring the runs of the lab that are not here; why that failed, or nothing.

        `forgets`: nothing of the lab is kept there.
        """
        of_lab = {
            "directory": self.given, "lab": self.lab.name, "runs": f"{self.state}/runs", "here": runs_home.here(),
            "home": str(home), "forgets": forgets,
        }  # fmt: skip
        try:
            self._play("runs_home", {"vexlab_hosted": of_lab}, home, AFTERWARDS, lambda _: None)
            if (home / RUNS).is_file():
                runs_home.unpack(home / RUNS)
        except Interrupted:
            raise
        except VexlabError as problem:
            return problem.message
        return ""

    def _play(
        self, name: str, variables: Mapping[str, Any], home: Path, patience: float, take: Callable[[Event], None]
    ) -> None:
        HostPlaybook(name, self.record.host, Path(self.record.inventory), patience).run(variables, home, take)

    def _code(self, last: Mapping[str, Any]) -> int:
        """The exit code of a command that ended by itself; raises HostProblem for one that didn't."""
        if last["why"] or last["code"] is None or last["code"] < 0:
            by = "was killed with its keeper" if last["code"] is None else f"ended with {last['code']}"
            raise HostProblem(f"{self.record.host}: {last['why'] or f'vexlab {by}'}")
        return int(last["code"])


def find(lab: Lab) -> HostedLab | None:
    """The lab, if a hypervisor has it; raises HostProblem when what is kept of that can't be read."""
    try:
        text = _record(lab).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return HostedLab(lab, msgspec.json.decode(text, type=Record))
    except msgspec.MsgspecError as problem:
        raise HostProblem(f"{_record(lab)} can't be read: {problem}", f"rm {_record(lab)} forgets the host") from None


def prepare(lab: Lab, hypervisor: Hypervisor, given: Given, patience: int, say: Say) -> HostedLab:
    """Make the host ready for a lab, and keep that it has it; raises VexlabError."""
    host, inventory = hypervisor.name, hypervisor.inventory
    with shipment.packing() as directory:
        code = shipment.code(directory)
        contracts = [given.contract] if given.contract else []
        items = [code, *_items(directory, lab, given), *shipment.parts(directory, contracts, say, builds_only=False)]
    try:
        ready = preparation.prepare(host, inventory, items, lambda doing: say(f"{host} {doing}"))
    except HostProblem as problem:
        raise _of_host(host, problem) from None
    record = Record(host, str(inventory), ready.home, ready.python, f"{ready.home}/{code.directory}", patience)
    replace_file(_record(lab), msgspec.json.encode(record).decode() + "\n")
    return HostedLab(lab, record)


def _of_host(host: str, problem: HostProblem, hint: str = "") -> HostProblem:
    """A problem of a host, by its name."""
    said = problem.message if host in problem.message else f"{host}: {problem.message}"
    return HostProblem(said, hint or problem.hint)


def _items(directory: Path, lab: Lab, given: Given) -> list[Item]:
    """The archives of what a lab is given, each for the place that it has there."""
    found = []
    if given.source:
        found.append((SENT, shipment.source(directory, given.source)))
    for place, file in ((TARGET_FILE, given.target), (KNOWN_FAILURES, given.known_failures)):
        found += [(str(Path(place).parent), shipment.target(directory, file))] if file else []
    return [dataclasses.replace(item, directory=f"{_given(lab)}/{place}", exact=True) for place, item in found]


def _record(lab: Lab) -> Path:
    return lab.directory / "hypervisor.json"


def _given(lab: Lab) -> str:
    return f"{_place()}/given/{lab.name}"


def _place() -> str:
    """The directory that a host has for this machine alone, below the home directory there: THE state directory."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    of = json.dumps([machine or platform.node(), str(user_directories.state_directory())])
    return f"{STATE}/vexlab/of/{hashlib.sha256(of.encode()).hexdigest()[:12]}"
