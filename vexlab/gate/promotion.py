"""THE gate: whether a module may leave the VM, computed from sealed evidence and from what named operators signed.

A run counts for a module only when it was complete, is as it was sealed, and was about the same module, kernel and
suite. The newest that counts decides, whatever its verdict is, and other runs of the module can only take away from it
(setbacks.py). What no run shows and nobody signed is not met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from ansible_collections.vexfs.vexlab.plugins.module_utils import readiness

from vexlab.config import phases, suite_hash
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import completeness, evidence, hash_chain, run_criteria, setbacks, sign_offs
from vexlab.gate.decision import (
    _FUTURE,
    EVIDENCE,
    MAX_AGE_DAYS,
    OLDEST_DAYS,
    TEXTS,
    Criterion,
    Decision,
    Refused,
    Source,
    Subject,
)
from vexlab.gate.evidence import Entry
from vexlab.gate.hash_chain import Record
from vexlab.results.model import Contract, Machine, Run, Verdict
from vexlab.results.results_file import read


def subject_of(run: Run) -> Subject | None:
    """The module that a run was about, if it got that far."""
    module = run.module
    return None if module is None else Subject(module.name, module.sha256, module.srcversion, run.kernel)


def about(run: Run) -> Decision | Refused:
    """What the gate says now of the module of a run, for the report."""
    subject = subject_of(run)
    if subject is None:
        why = run_criteria.no_further(run)
        return Refused(f"the run is about no module{f': {why}' if why else ''}")
    try:
        return Gate(subject, datetime.now(UTC)).decide()
    except VexlabError as problem:
        return Refused(problem.message)


class Gate:
    """The evidence about one module at one time. Use once: `decide` computes."""

    def __init__(self, subject: Subject, now: datetime, max_age_days: int = MAX_AGE_DAYS, only: str = "") -> None:
        """Read the chain of runs; a VexlabError when it is broken. `only`: the one run in the VM that may count.

        A UsageProblem when evidence is to count for longer than any role would let it.
        """
        if not 1 <= max_age_days <= OLDEST_DAYS:
            raise UsageProblem(
                f"evidence can't count for {max_age_days} days", f"1 to {OLDEST_DAYS}; test the module again"
            )
        self._subject = subject
        self._now = now
        self._max_age = timedelta(days=max_age_days)
        self._entries = [entry for entry in evidence.entries() if entry.module == subject.sha256]
        self._only = only
        self._signed: dict[str, Record] = {}
        self._sources: list[Source] = []

    def decide(self) -> Decision:
        """Compute every criterion, and the level that they add up to."""
        records = hash_chain.read(sign_offs.file_of(self._subject.sha256))
        self._signed = {record["criterion"]: record for record in records}  # the newest about each
        entry, run, why = self._newest_that_counts()
        contract = entry.contract if entry else None
        found = [
            *self._of_the_vm(entry, run, why), *self._of_people(), *self._of_devices(entry), *_of_claims(contract, run),
        ]  # fmt: skip
        found.sort(key=lambda criterion: list(TEXTS).index(criterion.key))
        ends = [_time(source.made) + self._max_age for source in self._sources]
        level = readiness.reached([asdict(criterion) for criterion in found])
        until = min(ends, default=self._now)
        return Decision(level, tuple(found), tuple(self._sources), self._now, until, contract)

    # --- the VM

    def _of_the_vm(self, entry: Entry | None, run: Run | None, why: str) -> Iterator[Criterion]:
        """The seed's criteria, by the newest run that counts, and none of them without such a run."""
        yield _criterion(EVIDENCE, "vm", run is not None, why)
        if entry is None or run is None:
            for key in run_criteria.MUST_PASS:
                yield _criterion(key, "vm", False, "there is no run that counts")
            return
        against = setbacks.of(self._entries, entry)
        for found in run_criteria.criteria(run):
            taken, excused = self._weigh([each for each in against if each.criterion == found.key])
            met = found.met and not taken
            yield _criterion(found.key, "vm", met, taken if found.met and taken else f"{found.why}{excused}")

    def _weigh(self, against: Sequence[setbacks.Setback]) -> tuple[str, str]:
        """The last setback that nobody signed off, in words, and what was signed off of the others."""
        taken, excused = "", ""
        for each in against:
            record, why = self._statement(sign_offs.about_run(each.run)) if each.excusable else (None, "")
            if record is None:
                taken = each.why
                taken += f"; {why or f'vexlab gate excuse {each.run}, if the module is not to blame'}" * each.excusable
            else:
                excused += f"; {each.why}; {_said(record)}"
        return taken, excused

    def _newest_that_counts(self) -> tuple[Entry | None, Run | None, str]:
        """The run that decides, or why the best of those that were looked at does not."""
        reasons: list[tuple[bool, str]] = []
        asked = [entry for entry in self._entries if entry.machine is Machine.VM and self._only in ("", entry.run)]
        for entry in reversed(asked):
            run, why = self._usable(entry)
            if run is not None and not (why := completeness.incomplete(run)):
                self._sources.append(Source(entry.run, entry.evidence, entry.finished))
                return entry, run, f"{entry.run}: {completeness.seen(run)}"
            reasons.append((entry.verdict is Verdict.PASSED, f"{entry.run} doesn't count: {why}"))
        nothing = f"no run is about the module with the sha256 {self._subject.sha256}; vexlab test makes one"
        if self._only:
            nothing = f"{self._only} was never sealed: it was killed before its end, or made by an older vexlab"
        return None, None, max(reasons, key=lambda reason: reason[0])[1] if reasons else nothing

    def _usable(self, entry: Entry) -> tuple[Run | None, str]:
        """A run about this module, whole and in time; None and why not, otherwise."""
        if entry.suite != suite_hash.suite():
            bound = entry.contract is not None
            other = "its checks, playbooks, roles, defaults or vexlab were of another version than these"
            return None, other if bound else "an earlier vexlab made it, which didn't seal what it demanded"
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

    # --- people

    def _of_people(self) -> Iterator[Criterion]:
        """What operators signed for this module; the newest statement about each criterion is the one that holds."""
        for key in run_criteria.PROTOCOL:
            record, why = self._statement(key)
            yield _criterion(
                key, "device", record is not None, _said(record) if record else why or "nobody signed for it"
            )

    def _statement(self, key: str) -> tuple[Record | None, str]:
        """What was signed about this, if it holds; else why it doesn't, empty if nobody signed."""
        record = self._signed.get(key)
        if record is None:
            return None, ""
        if why := self._out_of_time(record["made"]):
            return None, f"signed by {record['operator']}, but {why}"
        source = Source(f"statement on {key}", record["sha256"], record["made"])
        self._sources += [source] if source not in self._sources else []
        return record, ""

    # --- devices

    def _of_devices(self, in_vm: Entry | None) -> Iterator[Criterion]:
        """The phases on test hardware: each passed on one device, the later after the earlier, nothing wrong since.

        Each demanded what the run in the VM that decides did.
        """
        runs: list[tuple[Entry, Run]] = []
        nothing = "no run on test hardware is about this module"
        reasons: dict[int, str] = {}  # why the last run that was a phase doesn't count
        for entry in [entry for entry in self._entries if entry.machine is Machine.HARDWARE]:
            run, why = self._usable(entry)
            if run is not None and run.device is not None and not (why := _less_than_a_phase(entry, run, in_vm)):
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
            if chosen and met and (later := setbacks.since(self._entries, chosen[0])):
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


def _less_than_a_phase(entry: Entry, run: Run, in_vm: Entry | None) -> str:
    """Why a run on a device was not the whole of its phase, or not what was rehearsed, as a part of a sentence."""
    of_phase = phases.phase(run.device.phase).stages if run.device else ()
    if why := completeness.cut(of_phase, run) or completeness.reduced(run):
        return why
    if in_vm is None or in_vm.contract is None or run.contract is None:
        return ""
    if missing := [claim for claim in in_vm.contract.claims if claim not in run.contract.claims]:
        return f"it didn't claim {', '.join(missing)}, which {in_vm.run} did"
    return completeness.demanded_otherwise(run.contract, in_vm.contract)


def _of_claims(contract: Contract | None, run: Run | None) -> Iterator[Criterion]:
    """Whether the target claims what each level can't do without, and can."""
    end = run_criteria.no_further(run) if run else ""
    for level, needed in run_criteria.CLAIMS.items():
        missing = [claim for claim in needed if contract is None or claim not in contract.claims]
        why = f"claimed: {', '.join(needed)}"
        if missing:
            why = f"not claimed: {', '.join(missing)}" if contract else "there is no run that counts"
            why = f"level vm is the last: {end}" if end and level != "vm" else why
        yield _criterion(run_criteria.claims_key(level), level, not missing, why)


def _criterion(key: str, level: str, met: bool, why: str) -> Criterion:
    return Criterion(key, level, TEXTS[key], met, why)


def _said(record: Record) -> str:
    return f"signed by {record['operator']} on {record['made']}: {record['note']}"


def _time(text: str) -> datetime:
    """A time stamp of a record; a VexlabError when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise VexlabError(f"{text!r} is no time stamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
