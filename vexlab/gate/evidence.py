"""The evidence of a run, sealed when the run ends: a hash of each file, and the run's place in a chain of all of them.

A run whose files were edited or removed afterwards is noticed, and so is one that was taken out of the chain. A person
may remove the directory of a run: it stays in the chain with its verdict, and only its evidence is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from vexlab.config import user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.config.records import decode
from vexlab.errors import VexlabError
from vexlab.gate import hash_chain
from vexlab.results.archive import Unreadable, directories, read_all
from vexlab.results.model import Amounts, Contract, Machine, Run, Stage, Verdict
from vexlab.results.results_file import read

SEAL = "evidence.json"
# Reports are made from the results when they are sealed, and say what the gate says.
NOT_SEALED = (SEAL, "report.md", "report.html")


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """What the chain knows of a run, whatever becomes of its directory.

    `module` is the sha256 (empty without one), `evidence` that of the seal. `stages`, `contract` and `amounts` are what
    each stage came to, what was demanded of the module and how much; an earlier vexlab wrote none of them down (None).
    """

    run: str
    finished: str
    verdict: Verdict
    machine: Machine
    module: str
    kernel: str
    suite: str
    evidence: str
    previous: str
    sha256: str
    stages: dict[str, Verdict] | None = None
    contract: Contract | None = None
    amounts: Amounts | None = None

    @property
    def directory(self) -> Path:
        """Where the run is, if it is still there."""
        return user_directories.runs_directory() / self.run


@dataclass(frozen=True)
class PastRun:
    """An earlier run on test hardware; `module` is the sha256, `run` its results, none if they were touched since."""

    module: str
    verdict: Verdict
    run: Run | None


def chain_file() -> Path:
    """The chain of this user's runs."""
    return user_directories.runs_directory() / "chain.jsonl"


def seal(directory: Path, run: Run) -> None:
    """Write down the hash of each file of a run that is over, and add the run to the chain. Once per run."""
    names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    files = {name: digest(directory / name) for name in names if name not in NOT_SEALED}
    replace_file(directory / SEAL, json.dumps({"schema": 1, "run": run.run, "files": files}, indent=1) + "\n")
    hash_chain.append(chain_file(), _facts(run) | {"evidence": digest(directory / SEAL)})


def check_seal(directory: Path) -> None:
    """Raise VexlabError unless each file of a run is as it was sealed, on whichever machine."""
    try:
        files = json.loads((directory / SEAL).read_text(encoding="utf-8"))["files"]
        there = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
        wrong = [name for name, sha256 in files.items() if name not in there or digest(directory / name) != sha256]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise VexlabError(f"the seal of run {directory.name} can't be read: {error}") from error
    if wrong:
        raise VexlabError(f"run {directory.name} isn't as it was sealed: {wrong[0]} is gone or was edited")


def adopt(directory: Path) -> None:
    """Add a run that another machine sealed to the chain here. Once per run, whose seal was checked."""
    hash_chain.append(chain_file(), _facts(read(directory / "results.json")) | {"evidence": digest(directory / SEAL)})


def entries() -> list[Entry]:
    """Every run that was sealed, the oldest first; a VexlabError when the chain is broken."""
    return [decode(Entry, record) for record in hash_chain.read(chain_file())]


def verdicts(entry: Entry) -> dict[str, Verdict]:
    """What each stage of a run came to, and under `run` what the run did.

    Of a run whose stages the chain doesn't know, its results tell, as far as they are as they were.
    """
    known = {"run": entry.verdict} | (entry.stages or {})
    if entry.stages is None and not problem(entry):
        known |= {stage.name: _came_to(stage) for stage in read(entry.directory / "results.json").stages}
    return known


def on_hardware() -> tuple[list[PastRun], list[Unreadable]]:
    """Every run on test hardware, the oldest first, and runs of which nothing tells what they were.

    A run that was killed was never sealed, and has not passed. Of a sealed one the chain tells, readable or not.
    """
    sealed = {entry.run: entry for entry in entries()}
    found = {}
    for name, entry in sealed.items():
        if entry.machine is Machine.HARDWARE:
            runs, _ = read_all([] if problem(entry) else [entry.directory])
            found[name] = PastRun(entry.module, entry.verdict, next(iter(runs), None))
    killed, unreadable = read_all(path for path in directories() if path.name not in sealed)
    for run in killed:
        if run.machine is Machine.HARDWARE:
            found[run.run] = PastRun(run.module.sha256 if run.module else "", Verdict.NOT_RUN, run)
    return [found[name] for name in sorted(found)], unreadable  # names of runs begin with their time


def problem(entry: Entry) -> str:
    """The first thing about a run's evidence that isn't as it was sealed, as a part of a sentence; empty if all is."""
    try:
        return _problem(entry)
    except OSError as error:
        return f"{Path(error.filename or entry.directory).name} can't be read: {error.strerror}"


def doubt(run: str) -> str:
    """Return why a run's evidence can't be relied on, as a sentence; empty when all is as it was sealed."""
    try:
        entry = next((entry for entry in entries() if entry.run == run), None)
    except VexlabError as broken:
        return broken.message
    if entry is None:
        return "this run was never sealed: it did not come to its end, or is of an earlier vexlab"
    why = problem(entry)
    return f"this run's evidence isn't as it was sealed: {why}" if why else ""


def _problem(entry: Entry) -> str:
    directory, sealed = entry.directory, entry.directory / SEAL
    if not directory.is_dir():
        return "its directory was removed"
    known = {SEAL: entry.evidence}
    if sealed.is_file() and digest(sealed) == entry.evidence:
        known |= json.loads(sealed.read_text(encoding="utf-8"))["files"]
    for name, sha256 in known.items():
        if not (directory / name).is_file():
            return f"{name} is gone"
        if digest(directory / name) != sha256:
            return f"{name} was edited"
    try:
        facts = _facts(read(directory / "results.json"))
    except VexlabError as error:
        return error.message
    told = {name: value for name, value in to_builtins(entry).items() if name in facts and value is not None}
    return (
        "" if told == {name: facts[name] for name in told} else "the chain says something else of it than its results"
    )


def edited(results: Mapping[str, str]) -> dict[str, str]:
    """Return the runs whose results are not those that were sealed, each with what is wrong, as a part of a sentence.

    `results` has the sha256 of the results of each run by its name. A run that was never sealed, because it goes on or
    was killed, is not among them. Raises VexlabError when the chain is broken.
    """
    sealed = {entry.run: entry for entry in entries()}
    told = {name: _edited(sealed[name], sha256) for name, sha256 in results.items() if name in sealed}
    return {name: why for name, why in told.items() if why}


def _edited(entry: Entry, sha256: str) -> str:
    try:
        text = (entry.directory / SEAL).read_bytes()
    except OSError:
        return f"{SEAL} is gone"
    if hashlib.sha256(text).hexdigest() != entry.evidence:
        return f"{SEAL} was edited"
    return "" if json.loads(text)["files"].get("results.json") == sha256 else "results.json was edited"


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _facts(run: Run) -> dict[str, Any]:
    return {
        "run": run.run, "finished": run.finished or "", "verdict": run.verdict, "machine": run.machine,
        "module": run.module.sha256 if run.module else "", "kernel": run.kernel, "suite": run.suite,
        "stages": {stage.name: _came_to(stage) for stage in run.stages},
        "contract": to_builtins(run.contract),
        "amounts": to_builtins(run.amounts),
    }  # fmt: skip


def _came_to(stage: Stage) -> Verdict:
    """What a stage came to: one that was interrupted after a check had failed has no verdict, and did fail."""
    had_failed = any(check.verdict is Verdict.FAILED for check in stage.checks)
    return Verdict.FAILED if stage.verdict is Verdict.NOT_RUN and had_failed else stage.verdict
