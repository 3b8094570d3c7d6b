"""Runs as the tests of reports want them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from vexlab.gate import run_criteria
from vexlab.results.judging import judge_run
from vexlab.results.model import Check, GuestRecord, ModuleRecord, Run, Stage, Verdict

NASTY = "first | line\nsecond `tick` \x1b[31mred\x1b[0m <b>&amp; \x00\x07 ```\n# no heading\n- [x] no box \udcff"


def stage(name: str, verdict: Verdict, message: str = "it broke") -> Stage:
    checks = [Check(f"{name}.one", Verdict.PASSED, 1.25), Check(f"{name}.two", Verdict.SKIPPED, 0.0, "not claimed")]
    reason = "" if verdict is Verdict.PASSED else f"{name}.three: {message}"
    if verdict is Verdict.FAILED:
        checks.append(Check(f"{name}.three", Verdict.FAILED, 0.5, message))
    if verdict is Verdict.NOT_RUN:
        checks, reason = [], ""
    if verdict is Verdict.SKIPPED:
        checks = checks[1:]
    return Stage(name, verdict, 3.0, reason, tuple(checks), f"stages/{name}/kernel.log", 12288)


def a_run(verdicts: dict[str, Verdict], **changes: Any) -> Run:
    stages = tuple(stage(name, verdict) for name, verdict in verdicts.items())
    run = Run(
        run="20261122-090000-ab12", verdict=judge_run(stages, list(verdicts)), target="vexfs",
        started="2026-11-22T09:00:00+01:00", finished="2026-11-22T09:03:20+01:00", suite_version="0.1.0",
        module=ModuleRecord("vexfs", "ab" * 32, "0123ABC", "c-only", "cd" * 20),
        guest=GuestRecord("6.12.0-amd64", "tcg", "7.2.0", False, 2048, 2, 2223, "/mnt/vexfs_source", "01234567"),
        stages=stages, evidence={"console": "console.log", "build log": "build.log"}, selected=tuple(verdicts),
    )  # fmt: skip
    return replace(run, **changes)


def with_last(verdict: Verdict) -> Run:
    """All seven stages, the last but one of which has the verdict."""
    names = list(run_criteria.CATEGORIES)
    verdicts = dict.fromkeys(names, Verdict.PASSED)
    if verdict is not Verdict.PASSED:
        verdicts |= {names[-2]: verdict, names[-1]: Verdict.NOT_RUN}
    return a_run(verdicts)


ALL_PASSED = with_last(Verdict.PASSED)


def with_known_failure() -> Run:
    """A passed run in which one check of stage mount failed as expected."""
    known = Check("rename.three", Verdict.XFAILED, 0.5, "issue 7\nit broke")
    stages = [replace(s, checks=(*s.checks, known)) if s.name == "mount" else s for s in ALL_PASSED.stages]
    return replace(ALL_PASSED, stages=tuple(stages))


def cut_short() -> Run:
    """Stage mount took the guest down at its second check of 60; with --keep-going stage errors passed all the same."""
    rest = tuple(Check(f"files.number_{number}", Verdict.NOT_RUN, 0.0, "it was not reached") for number in range(58))
    checks = (Check("fresh.a", Verdict.PASSED, 1.0), Check("fresh.b", Verdict.PANICKED, 0.0, "Oops"), *rest)
    died = Stage("mount", Verdict.PANICKED, 9.0, "Oops; deterministic (2 of 2)", checks)
    stress = Stage("stress", reason="it needs stage mkfs, whose verdict is failed")
    others = {"mount": died, "stress": stress, "load": Stage("load")}
    stages = tuple(others.get(s.name, s) for s in ALL_PASSED.stages)
    selected = tuple(name for name in ALL_PASSED.selected if name != "load")
    return replace(ALL_PASSED, stages=stages, verdict=Verdict.PANICKED, selected=selected)
