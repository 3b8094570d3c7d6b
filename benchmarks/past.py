"""The commands that look back, on two thousand made runs: with the index, and without it the first time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.labs import Bench
from benchmarks.measure import Contestant, interleave, say
from benchmarks.table import Row, at_most, seconds
from vexlab.config import stage_list
from vexlab.results import results_file
from vexlab.results.model import Check, ModuleRecord, Run, Stage, Verdict

RUNS, CHECKS = 2000, 100  # checks are of each stage
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
FAILS = 7  # each run of which the number is a multiple of it has one check that failed
QUESTIONS = {
    "vexlab runs": ("runs",),
    "vexlab compare": ("compare",),
    "vexlab history, one check": ("history", "mount/made.check_7"),
}


def a_run(number: int) -> Run:
    """A made run; every fifty runs there is another module."""
    failed = bool(number) and number % FAILS == 0 and number < RUNS - 2
    stages = tuple(_stage(spec.name, failed=failed and spec.name == "mount") for spec in stage_list.stages())
    began = SINCE + timedelta(minutes=number)
    return Run(
        run=f"{began:%Y%m%d-%H%M%S}-default", verdict=Verdict.FAILED if failed else Verdict.PASSED, target="made",
        started=began.isoformat(), finished=began.isoformat(), suite_version="0.1.0", guest=None, stages=stages,
        module=ModuleRecord("made", f"{number // 50:064x}", "", "c-only"), evidence={},
        selected=tuple(stage.name for stage in stages), kernel="6.12.0", suite="5" * 64,
    )  # fmt: skip


def _stage(name: str, *, failed: bool) -> Stage:
    promise = "What is promised. " * 5
    checks = [Check(f"made.check_{index}", Verdict.PASSED, 0.1, promise=promise) for index in range(CHECKS)]
    if failed:
        checks[7] = Check("made.check_7", Verdict.FAILED, 0.1, "it broke")
    return Stage(name, Verdict.FAILED if failed else Verdict.PASSED, 10.0, "it broke" * failed, tuple(checks))


def measure(bench: Bench, runs: int) -> list[Row]:
    """Each question with an index that is up to date, and the first one when there is none."""
    state, cache = bench.new_directory("past"), bench.new_directory("past")
    say(f"past: {RUNS} made runs")
    for number in range(RUNS):
        run = a_run(number)
        directory = state / "vexlab" / "runs" / run.run
        directory.mkdir(parents=True)
        (directory / "lab").write_text("default\n")
        (directory / "results.json").write_text(results_file.encode(run), encoding="utf-8")
    environment = bench.environment | {"XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(cache)}

    def asked(*words: str) -> float:
        return bench.vexlab(*words, env=environment).seconds

    first = asked("runs")
    times = interleave([Contestant(name, partial(asked, *words)) for name, words in QUESTIONS.items()], runs)
    return [
        seconds(f"vexlab runs, of {RUNS} runs that no index has", [first], remark=f"{_mib(cache)} MiB of index"),
        *(seconds(name, samples, at_most(1)) for name, samples in times.items()),
    ]


def _mib(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*.sqlite")) >> 20
