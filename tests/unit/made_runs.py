"""Histories of runs with known answers, as the tests of comparison want them: real directories, small results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tests.unit.example_runs import a_run
from vexlab.config import user_directories
from vexlab.results import results_file
from vexlab.results.judging import judge_run, judge_stage
from vexlab.results.model import DIED, WRONG, Check, ModuleRecord, Run, SourceRecord, Stage, Verdict

PASSED, FAILED, NOT_RUN = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_RUN
CHECKS = {
    "build": ("build.object", "build.vermagic"),
    "mount": ("rename.over", "rename.loop", "times.utime", "acls.kept", "files.large"),
    "errors": ("damage.zeros", "damage.noise"),
}
KERNEL = "6.12.0-amd64"


@dataclass(frozen=True)
class Made:
    """What is peculiar to a made run: all else passes, in a tenth of a second each."""

    wrong: Mapping[str, Verdict] = field(default_factory=dict)
    module: str = "aa"
    kernel: str = KERNEL
    commit: str = ""
    branch: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    lab: str = "default"
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: CHECKS)


def document(number: int, made: Made) -> Run:
    """The results of a run; what a check came to is by its name, stage/check."""
    stages = []
    for stage, names in made.checks.items():
        checks = [_check(f"{stage}/{name}", name, made) for name in names]
        died = next((check.verdict for check in checks if check.verdict in DIED), None)
        judged = judge_stage(
            stage, began=True, role_ok=made.wrong.get(stage, PASSED) not in WRONG, role_reason="make: Error 2",
            tests_ok=True, checks=checks, interruption=died, interruption_reason="it died", seconds=1.0,
        )  # fmt: skip
        stages.append(judged if made.wrong.get(stage) is not NOT_RUN else Stage(stage, reason="it needs stage build"))
    run = a_run(
        {}, run=f"20261101-{number:06d}-{made.lab}", stages=tuple(stages), selected=tuple(made.checks),
        verdict=judge_run(stages, list(made.checks)), kernel=made.kernel, suite="5" * 64,
        started=(datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat(timespec="seconds"),
        module=ModuleRecord("vexfs", made.module * 32, "0123ABC", "c-only", "cd" * 20),
        source=SourceRecord("ee" * 32, made.commit, made.branch) if made.commit else None,
    )  # fmt: skip
    return replace(run, **made.changes)


def keep(number: int, made: Made) -> Path:
    """Put the directory of a run where runs are kept; the names sort by number."""
    run = document(number, made)
    path = user_directories.runs_directory() / run.run
    path.mkdir(parents=True)
    (path / "lab").write_text(f"{made.lab}\n")
    results_file.write(path / "results.json", run)
    return path


def keep_all(history: list[Made]) -> list[str]:
    """Keep runs in this order; returns their names."""
    return [keep(number, made).name for number, made in enumerate(history)]


def _check(full: str, name: str, made: Made) -> Check:
    verdict = made.wrong.get(full, PASSED)
    words = "" if verdict is PASSED else f"{name}: it came to {verdict}"
    return Check(name, verdict, made.seconds.get(full, 0.1), words)
