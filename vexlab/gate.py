"""THE gate: whether a module may leave the VM, computed from sealed evidence and from what named operators signed.

A run counts for a module only when it was complete, is as it was sealed, and was about the same module, kernel and
suite. The newest that counts decides, whatever its verdict is. What no run shows and nobody signed is not met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from vexlab import chain, content, device, evidence, readiness, statements
from vexlab.errors import VexlabError
from vexlab.evidence import Entry
from vexlab.results import DIED, Amounts, Device, Machine, Run, Verdict, read

MAX_AGE_DAYS = 7  # how long evidence and statements count, unless somebody asks for another limit
EVIDENCE = "evidence"
TEXTS = (
    {EVIDENCE: "A complete run in the VM, unaltered and recent, is about this very module"}
    | readiness.MUST_PASS
    | readiness.PROTOCOL
    | {
        "phase-1": "Phase 1, read-only, passed on a device that nobody needs",
        "phase-2": "Phase 2, read-write, passed on that device",
        "phase-3": "Phase 3, stress, passed on that device",
    }
)
"""Every criterion by its key, in order. Only those of the protocol may be signed."""


@dataclass(frozen=True)
class Subject:
    """The module that is asked about."""

    name: str
    sha256: str
    srcversion: str
    kernel: str


@dataclass(frozen=True)
class Criterion:
    """One condition of a level: met or not, and by what or why not."""

    key: str
    level: str
    text: str
    met: bool
    why: str


@dataclass(frozen=True)
class Source:
    """What a decision rests on: a run by the hash of its seal, or a statement by its own; `made` is ISO 8601."""

    what: str
    sha256: str
    made: str


@dataclass(frozen=True)
class Decision:
    """What the gate says of a module, and until when that holds."""

    level: str
    criteria: tuple[Criterion, ...]
    sources: tuple[Source, ...]
    made: datetime
    valid_until: datetime

    def unmet(self, level: str) -> list[Criterion]:
        """What keeps the module from a level, first things first."""
        levels = LEVELS[: LEVELS.index(level) + 1]
        return [criterion for criterion in self.criteria if not criterion.met and criterion.level in levels]


@dataclass(frozen=True)
class Refused:
    """That the gate could say nothing at all, and why."""

    why: str


_RULES = content.role_script("vexfs_load", "readiness")
LEVELS: tuple[str, ...] = _RULES.LEVELS
_FUTURE = timedelta(seconds=_RULES.CLOCKS_DIFFER)


def subject_of(run: Run) -> Subject | None:
    """The module that a run was about, if it got that far."""
    module = run.module
    return None if module is None else Subject(module.name, module.sha256, module.srcversion, run.kernel)


def about(run: Run) -> Decision | Refused:
    """What the gate says now of the module of a run, for the report."""
    subject = subject_of(run)
    if subject is None:
        return Refused("the run is about no module")
    try:
        return Gate(subject, datetime.now(UTC)).decide()
    except VexlabError as problem:
        return Refused(problem.message)


class Gate:
    """The evidence about one module at one time. Use once: `decide` computes."""

    def __init__(self, subject: Subject, now: datetime, max_age_days: int = MAX_AGE_DAYS, only: str = "") -> None:
        """Read the chain of runs; a VexlabError when it is broken. `only`: the one run in the VM that may count."""
        self._subject = subject
        self._now = now
        self._max_age = timedelta(days=max_age_days)
        self._entries = [entry for entry in evidence.entries() if entry.module == subject.sha256]
        self._only = only
        self._sources: list[Source] = []

    def decide(self) -> Decision:
        """Compute every criterion, and the level that they add up to."""
        found = [*self._of_the_vm(), *self._of_people(), *self._of_devices()]
        ends = [_time(source.made) + self._max_age for source in self._sources]
        level = _RULES.reached([asdict(criterion) for criterion in found])
        until = min(ends, default=self._now)
        return Decision(level, tuple(found), tuple(self._sources), self._now, until)

    # --- the VM

    def _of_the_vm(self) -> Iterator[Criterion]:
        """The seed's criteria, by the newest run that counts, and none of them without such a run."""
        entry, run, why = self._newest_that_counts()
        yield _criterion(EVIDENCE, "vm", run is not None, why)
        for found in readiness.criteria(run) if run else ():
            later = self._went_wrong_since(entry, found.key)
            yield _criterion(found.key, "vm", found.met and not later, later if found.met and later else found.why)
        for key in readiness.MUST_PASS if run is None else ():
            yield _criterion(key, "vm", False, "there is no run that counts")

    def _newest_that_counts(self) -> tuple[Entry | None, Run | None, str]:
        """The run that decides, or why the best of those that were looked at does not."""
        reasons: list[tuple[bool, str]] = []
        asked = [entry for entry in self._entries if entry.machine is Machine.VM and self._only in ("", entry.run)]
        for entry in reversed(asked):
            run, why = self._usable(entry)
            if run is not None and not (why := incomplete(run)):
                self._sources.append(Source(entry.run, entry.evidence, entry.finished))
                return entry, run, f"{entry.run}: every stage, {_told(run.amounts)}"
            reasons.append((entry.verdict is Verdict.PASSED, f"{entry.run} doesn't count: {why}"))
        nothing = f"no run is about the module with the sha256 {self._subject.sha256}; vexlab test makes one"
        if self._only:
            nothing = f"{self._only} was never sealed: it was killed before its end, or made by an older vexlab"
        return None, None, max(reasons, key=lambda reason: reason[0])[1] if reasons else nothing

    def _usable(self, entry: Entry) -> tuple[Run | None, str]:
        """A run about this module, whole and in time; None and why not, otherwise."""
        if entry.suite != content.suite():
            return None, "its checks, playbooks or roles were of another version than these"
        if entry.kernel != self._subject.kernel:
            return None, f"it ran on kernel {entry.kernel}, and the module is for {self._subject.kernel}"
        if why := self._out_of_time(entry.finished):
            return None, why
        if why := evidence.problem(entry):
            return None, why
        run = read(entry.directory / "results.json")
        if run.module is None or run.module.srcversion != self._subject.srcversion:
            return None, "the srcversion of its module is another one"
        return run, ""

    def _out_of_time(self, made: str) -> str:
        if not made:
            return "it has no end"
        if _time(made) > self._now + _FUTURE:
            return f"it is from the future ({made})"
        return f"it is too old ({made})" if _time(made) + self._max_age < self._now else ""

    def _went_wrong_since(self, since: Entry | None, key: str) -> str:
        """A run of this module that makes a pass doubtful: any that went wrong later, or ever made the kernel panic.

        The chain tells, so that nothing is gained by removing the directory of such a run.
        """
        if since is None or key not in ("tests", "crashes"):
            return ""
        later = self._entries[self._entries.index(since) + 1 :]
        bad = [entry for entry in later if entry.verdict in (Verdict.FAILED, *DIED)]
        if key == "crashes":
            bad += [entry for entry in self._entries if entry.verdict is Verdict.PANICKED]
        known = [e for e in bad if e.kernel == since.kernel and e.suite == since.suite and not self._too_old(e)]
        return f"the verdict of {known[-1].run}, a run of the same module, is {known[-1].verdict}" if known else ""

    def _too_old(self, entry: Entry) -> bool:
        return bool(entry.finished) and _time(entry.finished) + self._max_age < self._now

    # --- people

    def _of_people(self) -> Iterator[Criterion]:
        """What operators signed for this module; the newest statement about each criterion is the one that holds."""
        signed = {record["criterion"]: record for record in chain.read(statements.file_of(self._subject.sha256))}
        for key in readiness.PROTOCOL:
            record = signed.get(key)
            if record is None:
                yield _criterion(key, "device", False, "nobody signed for it")
            elif why := self._out_of_time(record["made"]):
                yield _criterion(key, "device", False, f"signed by {record['operator']}, but {why}")
            else:
                self._sources.append(Source(f"statement on {key}", record["sha256"], record["made"]))
                said = f"signed by {record['operator']} on {record['made']}: {record['note']}"
                yield _criterion(key, "device", True, said)

    # --- devices

    def _of_devices(self) -> Iterator[Criterion]:
        """The phases on test hardware: each passed on one device, the later after the earlier, nothing wrong since."""
        runs: list[tuple[Entry, Run]] = []
        nothing = "no run on test hardware is about this module"
        reasons: dict[int, str] = {}  # why the last run that was a phase doesn't count
        for entry in [entry for entry in self._entries if entry.machine is Machine.HARDWARE]:
            run, why = self._usable(entry)
            if run is not None and run.device is not None and not (why := _cut(run.device, run) or reduced(run)):
                runs.append((entry, run))
                continue
            nothing = f"{entry.run} doesn't count: {why or 'it names no device'}"
            if run is not None and run.device is not None:
                reasons[run.device.phase] = nothing
        if runs and (used := runs[-1][1].device):
            nothing = f"it was not run, or not before the next phase, on {used.by_id} with serial {used.serial}"
        found = {}
        before = self._now + _FUTURE
        for phase in (3, 2, 1):  # from the last on, since what a phase rests on must have passed before it began
            chosen = next(
                ((e, r) for e, r in reversed(runs) if _is_phase(r, phase, runs) and _time(e.finished) <= before), None
            )
            met = chosen is not None and chosen[1].verdict is Verdict.PASSED
            why = f"the verdict of {chosen[0].run} is {chosen[0].verdict}" if chosen else reasons.get(phase, nothing)
            if chosen and met and (later := self._went_wrong_since(chosen[0], "tests")):
                met, why = False, later
            elif chosen and met:
                entry, run = chosen
                before = _time(run.started)
                self._sources.append(Source(entry.run, entry.evidence, entry.finished))
                why = f"{entry.run}, on {run.device.by_id if run.device else ''}"
            found[phase] = _criterion(f"phase-{phase}", "production", met, why)
        yield from (found[phase] for phase in (1, 2, 3))


def _is_phase(run: Run, phase: int, runs: Sequence[tuple[Entry, Run]]) -> bool:
    """Whether a run was this phase, on the device that was used last."""
    last = runs[-1][1].device
    return run.device is not None and last is not None and (run.device.phase, run.device.serial) == (phase, last.serial)


def _cut(of_run: Device, run: Run) -> str:
    """Why a run on a device was not the whole of its phase, as a part of a sentence."""
    left_out = [name for name in device.phase(of_run.phase).stages if name not in run.selected]
    return f"stages were left out: {', '.join(left_out)}" if left_out else ""


def incomplete(run: Run) -> str:
    """Why a run in the VM is no complete one, as a part of a sentence; empty for one that is, whatever its verdict."""
    stages = [spec.name for spec in content.stages()]
    left_out = [name for name in stages if name not in run.selected]
    if run.finished is None or run.verdict is Verdict.NOT_RUN:
        return "it was interrupted, or ended before its stages"
    if left_out:
        return f"stages were left out: {', '.join(left_out)}"
    return reduced(run)


def reduced(run: Run) -> str:
    """Why a run shows less than it could, as a part of a sentence."""
    if not run.applied:
        return "it only judged what was there, and built nothing"
    if run.amounts is None:
        return "it doesn't say how much it did"
    if run.amounts.quick:
        return "it was made with --quick"
    usual = content.contract_defaults()
    for name, value in asdict(run.amounts).items():
        if name not in ("quick", "seed") and value < usual[f"vexlab_{name}"]:
            return f"it did less than usual: {name.replace('_', ' ')} {value}, not {usual[f'vexlab_{name}']}"
    return ""


def _criterion(key: str, level: str, met: bool, why: str) -> Criterion:
    return Criterion(key, level, TEXTS[key], met, why)


def _told(amounts: Amounts | None) -> str:
    return f"{amounts.load_cycles} load and {amounts.mount_cycles} mount cycles" if amounts else ""


def _time(text: str) -> datetime:
    """A time stamp of a record; a VexlabError when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise VexlabError(f"{text!r} is no time stamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
