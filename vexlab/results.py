"""The home of what a verdict is: the records of a run, how they are judged, and `results.json`.

A verdict starts as `not_run`; nothing but an executed check turns it into `passed`. Reports render what is here, the
gate reads it, and neither judges anything of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vexlab.decode import decode
from vexlab.errors import VexlabError, write_problem

SCHEMA = 1
"""Version of the document that `to_document` makes; `from_document` reads this one only."""


class Verdict(StrEnum):
    """What is known about a check, a stage or a run."""

    PASSED = "passed"
    FAILED = "failed"
    PANICKED = "panicked"  # oops, BUG or panic of the guest's kernel
    HUNG = "hung"  # a deadline passed
    LOST = "lost"  # guest, connection or the process that runs the checks gone without a word of the kernel
    SKIPPED = "skipped"  # with a reason that the target declared
    XFAILED = "xfailed"  # of a check: it failed, as the target's list of known failures says
    NOT_RUN = "not_run"


@dataclass(frozen=True)
class Check:
    """One check: `message` says why it did not pass, and is empty otherwise.

    `advice` is what it found to be unusual or missing and that changes no verdict; empty when there is nothing.
    """

    name: str
    verdict: Verdict
    seconds: float
    message: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    `reason` is the first cause when it did not pass, `kernel_log` the path of its kernel messages relative to the run
    directory, `taint` the kernel's taint mask at its end (None when it could not be read). `achieved` says whether
    what the stage brings about is there (the module is built, say), whatever its checks found; None when it brings
    nothing about, or it can't be told.
    """

    name: str
    verdict: Verdict = Verdict.NOT_RUN
    seconds: float = 0.0
    reason: str = ""
    checks: tuple[Check, ...] = ()
    kernel_log: str | None = None
    taint: int | None = None
    achieved: bool | None = None


@dataclass(frozen=True)
class Module:
    """Identity of the kernel module that was built; fields that the build could not tell are empty."""

    name: str
    sha256: str
    srcversion: str
    variant: str
    build_id: str = ""


@dataclass(frozen=True)
class Guest:
    """The machine that the stages ran on.

    `accelerator` is kvm or tcg, `qemu` the version, `warm` whether it was restored from a saved state, `share` where
    the source is mounted in the guest, `image` the key of the disk image.
    """

    kernel: str
    accelerator: str
    qemu: str
    warm: bool
    memory_mb: int
    cpus: int
    ssh_port: int
    share: str
    image: str


@dataclass(frozen=True)
class Reruns:
    """The first check that went wrong, as `stage/check`, run again: how often it was, and how often it went wrong."""

    check: str
    of: int
    failed: int


class Machine(StrEnum):
    """What the stages ran on."""

    VM = "vm"
    HARDWARE = "hardware"  # a host of the inventory group for test hardware


@dataclass(frozen=True)
class Device:
    """The block device that a run on test hardware used: its /dev/disk/by-id path, its serial, the phase (1 to 3)."""

    by_id: str
    serial: str
    phase: int


@dataclass(frozen=True)
class Amounts:
    """How much stage stress was asked to do, and by which seed (0: another one each time); `quick` is --quick."""

    quick: bool
    load_cycles: int
    mount_cycles: int
    churn_operations: int
    seed: int


@dataclass(frozen=True)
class Contract:
    """What a run demanded of its module.

    `claims` are the target's capabilities: a check of anything else is skipped. `module_parameters` and the mount
    options are those that were tested. `cpus` and `memory_mb` were asked for, of a guest (0 on test hardware).
    `known_failures` names the checks that may fail, as stage/check. `sha256` is over the run's contract.json, which has
    every variable.
    """

    claims: tuple[str, ...]
    module_parameters: str
    mount_options_ro: str
    mount_options_rw: str
    cpus: int
    memory_mb: int
    device_size_mb: int
    known_failures: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Run:
    """One pass over stages.

    `started` and `finished` are ISO 8601 with an offset (`finished` is None while it goes on), `evidence` maps a name
    to a path relative to the run directory, `selected` are the stages that were asked for, `reruns` is None unless the
    check that went wrong was run again. `kernel` is what `uname -r` says where the stages ran, `suite` a hash over what
    brought about and judged them (content.suite), `applied` whether roles were applied, or only judged what was there.
    Of a run by an earlier vexlab, `suite` is empty, `applied` false, `amounts` and `contract` None.
    """

    run: str
    verdict: Verdict
    target: str
    started: str
    finished: str | None
    suite_version: str
    module: Module | None
    guest: Guest | None
    stages: tuple[Stage, ...]
    evidence: dict[str, str]
    selected: tuple[str, ...]
    reruns: Reruns | None = None
    machine: Machine = Machine.VM
    device: Device | None = None
    kernel: str = ""
    suite: str = ""
    applied: bool = False
    amounts: Amounts | None = None
    contract: Contract | None = None


# ---------------------------------------------------------------- judging

DIED = (Verdict.PANICKED, Verdict.HUNG, Verdict.LOST)
"""Verdicts after which a guest is of no further use."""
_HARMLESS = (Verdict.PASSED, Verdict.SKIPPED, Verdict.XFAILED)


def judge_stage(
    name: str,
    *,
    began: bool,
    role_ok: bool | None,
    role_reason: str,
    tests_ok: bool | None,
    checks: Sequence[Check],
    interruption: Verdict | None,
    interruption_reason: str,
    seconds: float,
) -> Stage:
    """Judge a stage by what was seen of it.

    `role_ok` is None for a stage without a role, `tests_ok` is None when pytest was not started or did not end.
    `interruption` is what ended the stage from outside (panicked, hung, lost; not_run for Ctrl-C); it wins over all.
    """
    verdict, reason = Verdict.NOT_RUN, interruption_reason or role_reason
    if began and interruption is not None:
        if interruption in _HARMLESS:
            raise ValueError(f"an interruption can't be {interruption}")
        verdict, reason = interruption, interruption_reason or f"the stage ended as {interruption}"
    elif began:
        verdict, reason = _judge_finished(role_ok, role_reason, tests_ok, checks)
    return Stage(name=name, verdict=verdict, seconds=seconds, reason=reason, checks=tuple(checks))


def _judge_finished(
    role_ok: bool | None, role_reason: str, tests_ok: bool | None, checks: Sequence[Check]
) -> tuple[Verdict, str]:
    """Verdict and reason of a stage that began and that nothing interrupted."""
    wrong = [check for check in checks if check.verdict not in _HARMLESS]
    culprit = min(wrong, key=lambda check: check.verdict is Verdict.NOT_RUN, default=None)
    died = next((check for check in checks if check.verdict in DIED), None)
    if role_ok is False:
        problem = role_reason or "the role of the stage failed"
    elif culprit is not None:
        problem = f"{culprit.name}: {_first_line(culprit.message) or culprit.verdict}"
    elif tests_ok is None:
        problem = "the checks of the stage did not run"
    elif not tests_ok:
        problem = "pytest failed without a failed check"
    elif any(check.verdict is Verdict.PASSED for check in checks):
        return Verdict.PASSED, ""
    elif not checks:
        problem = "no check ran"
    elif silent := next((check.name for check in checks if not check.message.strip()), ""):
        problem = f"no check passed: {silent} was skipped without a reason"
    else:
        return Verdict.SKIPPED, _first_line(checks[0].message)
    if died is not None:
        return died.verdict, f"{died.name}: {_first_line(died.message)}"
    return Verdict.FAILED, problem


def merge_stages(parts: Sequence[Stage]) -> Stage:
    """One stage as several executions showed it, in their order: the worst verdict with its first cause.

    Each check is there once: as the first execution showed it that ran it. The last one tells what is achieved.
    """
    worst = min(parts, key=lambda stage: _SEVERITY.index(_severity(stage.verdict)))
    checks: dict[str, Check] = {}
    for check in (check for stage in parts for check in stage.checks):
        known = checks.get(check.name)
        if known is None or known.verdict is Verdict.NOT_RUN:
            checks[check.name] = check
    seconds = round(sum(stage.seconds for stage in parts), 1)
    return dataclasses.replace(worst, checks=tuple(checks.values()), seconds=seconds, achieved=parts[-1].achieved)


_SEVERITY = ("died", Verdict.FAILED, Verdict.NOT_RUN, Verdict.SKIPPED, Verdict.PASSED)


def _severity(verdict: Verdict) -> str:
    return "died" if verdict in DIED else verdict


def judge_run(stages: Sequence[Stage], selected: Sequence[str]) -> Verdict:
    """Judge a run: it passed only when every selected stage passed.

    Otherwise the verdict of the first stage that went wrong; with none, not_run when a selected stage was not reached
    (or nothing was selected), else skipped. A stage that was not selected can only make it worse.
    """
    wrong = [s.verdict for s in stages if s.verdict not in (*_HARMLESS, Verdict.NOT_RUN)]
    if wrong:
        return wrong[0]
    by_name = {stage.name: stage.verdict for stage in stages}
    seen = [by_name.get(name, Verdict.NOT_RUN) for name in selected]
    if not seen or Verdict.NOT_RUN in seen:
        return Verdict.NOT_RUN
    return Verdict.PASSED if set(seen) == {Verdict.PASSED} else Verdict.SKIPPED


def without_verdict(check: Check, reason: str) -> Check:
    """The check of a stage that something else than the filesystem spoiled: what it blames may come from that."""
    if check.verdict not in (Verdict.FAILED, *DIED):
        return check
    return dataclasses.replace(check, verdict=Verdict.NOT_RUN, message=f"{reason}; it had said: {check.message}")


def known_failures(run: Run) -> list[tuple[Stage, Check]]:
    """The checks that failed as expected, with their stages; the first line of their message is the reason."""
    return [(stage, check) for stage in run.stages for check in stage.checks if check.verdict is Verdict.XFAILED]


def advice(run: Run) -> list[tuple[Stage, Check]]:
    """The checks that have advice to give, with their stages."""
    return [(stage, check) for stage in run.stages for check in stage.checks if check.advice]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# ---------------------------------------------------------------- checks.jsonl


def read_checks(path: Path) -> tuple[Check, ...]:
    """Read the finished checks of a stage, in order, from its `checks.jsonl`; none when the file isn't there.

    A last line without its end (pytest was killed while writing) is ignored; anything else that isn't a check is a
    VexlabError with the line's number.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise VexlabError(f"{path} can't be read: {error.strerror}") from error
    checks = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            checks.append(_check(json.loads(line.decode())))
        except ValueError as error:
            if number == len(lines):
                break
            raise VexlabError(f"{path}:{number} is not a check: {error}") from error
        except VexlabError as error:
            raise VexlabError(f"{path}:{number} is not a check: {error.message}") from error
    return tuple(checks)


def _check(value: object) -> Check:
    """Read a line of `checks.jsonl`, where only verdicts that the checks can give themselves are right."""
    check = decode(Check, value if not isinstance(value, dict) else {"advice": ""} | value, "")
    if check.verdict is Verdict.PANICKED:  # a check that could say this would have died with its guest
        raise VexlabError(f"verdict is {check.verdict!r}, which no check can give itself")
    return check


# ---------------------------------------------------------------- results.json


def to_document(run: Run) -> dict[str, object]:
    """Return the run as the JSON document that docs/results.schema.json describes."""
    parts: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(run), allow_nan=False))
    return {"schema": SCHEMA, **parts}


def from_document(document: dict[str, object]) -> Run:
    """Return the run that a document describes; a VexlabError names the first field that is wrong.

    A document that claims more than its parts show (a passed run or stage without the passes) is refused.
    """
    if not isinstance(document, dict):
        raise VexlabError("the results are not a JSON object")
    version = document.get("schema")
    if type(version) is not int or version != SCHEMA:
        raise VexlabError(
            f"schema: these results are of version {version!r}, this vexlab reads version {SCHEMA}",
            "Read them with the vexlab that wrote them, or run the stages again.",
        )
    run = decode(Run, _complete(document), "")
    _refuse_unfounded(run)
    return run


def _complete(document: dict[str, object]) -> dict[str, object]:
    """The fields of a document, and what they are that documents of former versions don't have."""
    guest = document.get("guest")
    kernel = guest.get("kernel", "") if isinstance(guest, dict) else ""
    absent: dict[str, object] = dict.fromkeys(("reruns", "device", "amounts", "contract"))
    stages = document.get("stages")
    known = {"stages": [_former_stage(stage) for stage in stages]} if isinstance(stages, list) else {}
    absent |= {"machine": "vm", "kernel": kernel, "suite": "", "applied": False}
    return absent | {name: value for name, value in document.items() if name != "schema"} | known


def _former_stage(stage: object) -> object:
    """A stage as it is in a document, with what those of former versions lack in it and in its checks."""
    if not isinstance(stage, dict):
        return stage
    checks = stage.get("checks")
    known = [{"advice": ""} | check if isinstance(check, dict) else check for check in checks or ()]
    return {"achieved": None} | stage | ({"checks": known} if isinstance(checks, list) else {})


def _refuse_unfounded(run: Run) -> None:
    for index, stage in enumerate(run.stages):
        where = f"stages[{index}].verdict"
        verdicts = {check.verdict for check in stage.checks}
        if stage.verdict is Verdict.PASSED and (Verdict.PASSED not in verdicts or verdicts - set(_HARMLESS)):
            raise VexlabError(f"{where}: says passed, which the checks of {stage.name} do not bear out")
    if run.verdict is Verdict.PASSED and judge_run(run.stages, run.selected) is not Verdict.PASSED:
        raise VexlabError("verdict: says passed, which the stages do not bear out")


def encode(run: Run) -> str:
    """Return the document as text: what `results.json` holds and `--json` prints."""
    return as_text(to_document(run))


def as_text(document: dict[str, object]) -> str:
    """Return a document as text."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(path: Path, run: Run) -> None:
    """Write `results.json`: a reader sees the old document or the new one, never a part, and a crash can't undo it."""
    replace_file(path, encode(run))


def read(path: Path) -> Run:
    """Read `results.json`; a VexlabError names the file and what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VexlabError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # the latter for what is nested too deep to be results
        raise VexlabError(f"{path} is not JSON: {error}") from error
    try:
        return from_document(document)
    except VexlabError as error:
        raise VexlabError(f"{path}: {error.message}", error.hint, error.exit_code) from error


def replace_file(path: Path, text: str) -> None:
    """Put `text` into `path` in one step: written beside it, flushed to disk, renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise write_problem(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
