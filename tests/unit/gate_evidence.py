"""Real runs in a state directory of a test's own, for the tests of the gate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vexlab.config import suite_hash, target, user_directories
from vexlab.gate import evidence, run_criteria
from vexlab.gate.decision import Criterion, Decision, Subject
from vexlab.gate.promotion import Gate
from vexlab.results import results_file
from vexlab.results.judging import judge_run
from vexlab.results.model import (
    Amounts,
    Check,
    Contract,
    DeviceRecord,
    GuestRecord,
    Machine,
    ModuleRecord,
    Run,
    Stage,
    Verdict,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
KERNEL = "6.12.0-amd64"
SUBJECT = Subject("toyfs", "ab" * 32, "0123ABC", KERNEL)
MODULE = ModuleRecord("toyfs", "ab" * 32, "0123ABC", "c-only", "cd" * 20)
USUAL = Amounts(quick=False, load_cycles=20, mount_cycles=100, churn_operations=2000, seed=0)
CONTRACT = Contract(tuple(target.capabilities()), "debug=0", "ro", "rw", 2, 2048, 256, (), "ef" * 32)
STAGES = list(run_criteria.CATEGORIES)


def ago(**how: float) -> str:
    return (NOW - timedelta(**how)).isoformat(timespec="seconds")


def stage(name: str, verdict: Verdict) -> Stage:
    if verdict is Verdict.NOT_RUN:
        return Stage(name)
    checks = [Check("works", Verdict.PASSED, 1.0)]
    checks += [] if verdict is Verdict.PASSED else [Check("breaks", verdict, 1.0, "it broke")]
    reason = "" if verdict is Verdict.PASSED else "breaks: it broke"
    return Stage(name, verdict, 2.0, reason, tuple(checks), f"stages/{name}/kernel.log", 12288)


def a_run(name: str = "run-1", verdicts: dict[str, Verdict] | None = None, **changes: Any) -> Run:
    """A complete run in the VM that passed, but for what is changed."""
    known = dict.fromkeys(STAGES, Verdict.PASSED) | (verdicts or {})
    stages = tuple(stage(each, known[each]) for each in STAGES)
    run = Run(
        run=name, verdict=judge_run(stages, STAGES), target="toyfs", started=ago(hours=1.1), finished=ago(hours=1),
        suite_version="0.1.0", module=MODULE,
        guest=GuestRecord(KERNEL, "tcg", "7.2.0", False, 2048, 2, 2222, "/mnt/source", "0123456789abcdef"),
        stages=stages,
        evidence={"console": "console.log"}, selected=tuple(STAGES), kernel=KERNEL, suite=suite_hash.suite(),
        applied=True, amounts=USUAL, contract=CONTRACT,
    )  # fmt: skip
    return replace(run, **changes)


NO_DEVICE = "it is mounted without a device, so nothing is formatted"
NO_BUILD = "the module comes with the kernel, so there is no source tree and no build"


def of_another_kind(
    name: str = "run-1", reason: str = NO_DEVICE, lacks: tuple[str, ...] = ("mkfs",), **more: Any
) -> Run:
    """A complete run of a target that hasn't these stages."""
    run = a_run(name, **more)
    stages = tuple(
        Stage(each.name, Verdict.SKIPPED, reason=reason) if each.name in lacks else each for each in run.stages
    )
    claims = tuple(claim for claim in CONTRACT.claims if not claim.startswith("mkfs-") and claim != "label")
    selected = tuple(each for each in STAGES if each not in lacks)
    return replace(
        run, stages=stages, selected=selected, verdict=judge_run(stages, selected),
        contract=replace(CONTRACT, claims=claims),
    )  # fmt: skip


def a_phase(number: int, finished_hours_ago: float, verdict: Verdict = Verdict.PASSED, **changes: Any) -> Run:
    """A run on test hardware."""
    return a_run(
        f"phase-{number}-{finished_hours_ago}", {"mount": verdict}, machine=Machine.HARDWARE, guest=None,
        started=ago(hours=finished_hours_ago + 0.2), finished=ago(hours=finished_hours_ago),
        **{"device": DeviceRecord("/dev/disk/by-id/ata-toy", "S1", number), **changes},
    )  # fmt: skip


def sealed(run: Run) -> Path:
    """Write a run as a run is written, with logs, and seal it; returns its directory."""
    directory = user_directories.runs_directory() / run.run
    for each in run.stages:
        log = directory / "stages" / each.name / "kernel.log"
        log.parent.mkdir(parents=True)
        log.write_text("all is well\n")
    (directory / "console.log").write_text("booted\n")
    results_file.write(directory / "results.json", run)
    evidence.seal(directory, run)
    return directory


def decide(subject: Subject = SUBJECT, now: datetime = NOW, **how: Any) -> Decision:
    return Gate(subject, now, **how).decide()


def criterion(decision: Decision, key: str) -> Criterion:
    return next(each for each in decision.criteria if each.key == key)


def unmet(decision: Decision) -> list[str]:
    return [each.key for each in decision.criteria if not each.met]
