"""The logs of a run: those of the run that is meant, in the order of stages, and the one that tells what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from vexlab.cli import order
from vexlab.guest.lab import Lab
from vexlab.report import markdown
from vexlab.results import logs, results_file
from vexlab.results.model import Check, Run, Stage, Verdict
from vexlab.run import run_facts

ROOT = Path(__file__).parents[2]


def stage(name: str, verdict: Verdict, *checks: Verdict) -> Stage:
    found = tuple(Check(f"c.{number}", each, 0.1, "why") for number, each in enumerate(checks))
    return Stage(name, verdict, 1.0, "why" if verdict is not Verdict.PASSED else "", found)


GOOD = stage("build", Verdict.PASSED, Verdict.PASSED)
BAD = stage("mount", Verdict.FAILED, Verdict.PASSED, Verdict.FAILED)
DEAD = stage("mount", Verdict.PANICKED, Verdict.PANICKED)
ROLE = stage("mkfs", Verdict.FAILED)
NO_BUILD = stage("build", Verdict.FAILED)


def a_run(name: str, *stages: Stage, **changes: Any) -> Run:
    run = Run(name, Verdict.FAILED, "toy", "then", "now", "0", None, None, stages, {}, tuple(s.name for s in stages))
    return replace(run, **changes)


def kept(tmp_path: Path, run: Run, lab: str, *files: str) -> Path:
    """A run as it is kept: its results, the name of its lab, and files that hold their own names."""
    directory = tmp_path / "state" / "vexlab" / "runs" / run.run
    for file in files:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(f"{file}\n")
    evidence = {file.replace("/", " ").removesuffix(".log"): file for file in files}
    results_file.write(directory / "results.json", replace(run, evidence=evidence))
    (directory / "lab").write_text(f"{lab}\n")
    return directory


def vexlab(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *arguments], capture_output=True, text=True, env=os.environ | home,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_kernel_logs_come_in_the_order_of_stages_and_executions(tmp_path: Path) -> None:
    """By name, `errors` would come before `load`, and part 10 before part 2."""
    names = ["stages/mount/kernel.log", "stages/load/kernel.log", "stages/errors/kernel.log"]
    later = ["part-10/stages/errors/kernel.log", "part-2/stages/stress/kernel.log", "rerun-1/stages/load/kernel.log"]
    later += [f"fork-{name}/stages/mount/kernel.log" for name in ("10", "2", "2-part-3")]
    directory = kept(tmp_path, a_run("run-1", GOOD), "one", *names, *later)
    assert [log.title for log in logs.find(directory, "kernel")] == [
        "stage load",
        "stage mount",
        "stage errors",
        "stage mount, fork 2",
        "stage mount, fork 2 part 3",
        "stage mount, fork 10",
        "stage stress, part 2",
        "stage errors, part 10",
        "stage load, rerun 1",
    ]
    printed = vexlab(tmp_path, "logs", "kernel", "--run", "run-1").stdout.splitlines()
    assert printed[:4] == ["--- stage load", "stages/load/kernel.log", "--- stage mount", "stages/mount/kernel.log"]


@pytest.mark.parametrize(
    ("went", "files", "kind", "printed"),
    [
        ((GOOD, BAD), ("stages/mount/kernel.log", "stages/build/kernel.log"), "kernel", "stages/mount/kernel.log"),
        ((NO_BUILD,), ("build.log", "stages/build/kernel.log"), "build", "build.log"),
        ((GOOD, ROLE), ("ansible.log", "stages/mkfs/kernel.log"), "ansible", "ansible.log"),
        ((GOOD, DEAD), ("stages/mount/trace.txt", "console.log"), "trace", "stages/mount/trace.txt"),
        ((GOOD, DEAD), ("console.log", "stages/mount/kernel.log"), "console", "console.log"),
        ((GOOD, BAD), ("ansible.log",), "ansible", "ansible.log"),  # nothing was kept of the kernel
        ((GOOD,), ("stages/build/kernel.log", "ansible.log"), "kernel", "stages/build/kernel.log"),
    ],
)
def test_log_of_what_went_wrong_is_shown(
    tmp_path: Path, went: tuple[Stage, ...], files: tuple[str, ...], kind: str, printed: str
) -> None:
    """Of the run that is named in the same breath; the lab may be gone, as it is here."""
    kept(tmp_path, a_run("run-1", *went), "gone", *files)
    done = vexlab(tmp_path, "logs")
    assert (done.returncode, done.stdout) == (0, f"{printed}\n")
    assert f"run run-1: {kind} log" in done.stderr


def test_run_and_lab_that_are_meant(tmp_path: Path) -> None:
    for number, lab in enumerate(["one", "two", "one", "two"]):
        kept(tmp_path, a_run(f"run-{number}", BAD), lab, f"stages/mount/{number}", "build.log", "ansible.log")
    assert "run run-3:" in vexlab(tmp_path, "logs").stderr
    assert "run run-2:" in vexlab(tmp_path, "logs", "--name", "one", "build").stderr
    done = vexlab(tmp_path, "logs", "--run", "run-1", "build", "--json")
    document = json.loads(done.stdout)
    assert (document["run"], document["logs"][0]["text"]) == ("run-1", "build.log\n")
    assert vexlab(tmp_path, "logs", "--run", "run-1", "--name", "one").returncode == 2


def test_log_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    kept(tmp_path, a_run("run-1", BAD), "one", "build.log", "stages/mount/kernel.log")
    done = vexlab(tmp_path, "logs", "trace")
    assert done.returncode == 2
    assert "run run-1 left no trace log: no kernel died in it" in done.stderr
    assert "it has: build, kernel; vexlab logs build --run run-1" in done.stderr
    done = vexlab(tmp_path, "logs", "qemu")
    assert "of the lab of run run-1: it is kept as long as the lab" in done.stderr
    done = vexlab(tmp_path, "console", "--name", "one")
    assert "unknown lab 'one'" in done.stderr
    assert "unknown lab 'two'" in vexlab(tmp_path, "logs", "--name", "two").stderr


def test_console_of_a_lab_that_is_gone_is_in_its_last_run(tmp_path: Path) -> None:
    kept(tmp_path, a_run("run-1", BAD), "one", "console.log")
    done = vexlab(tmp_path, "console", "--name", "one")
    assert done.returncode == 2
    assert "vexlab logs console --run run-1" in done.stderr


def test_console_is_followed_for_as_long_as_somebody_reads(tmp_path: Path) -> None:
    """A guest may say nothing more, and whoever read may be at the other end of a network."""
    lab = tmp_path / "state" / "vexlab" / "labs" / "one"
    lab.mkdir(parents=True)
    (lab / "console.log").write_text("booted\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "vexlab", "console", "--name", "one", "--follow"], stdout=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "booted\n"
    with (lab / "console.log").open("a") as log:
        log.write("more\n")
    assert process.stdout.readline() == "more\n"
    assert process.poll() is None
    process.stdout.close()
    assert process.wait(20) == 0


def test_report_has_the_trace_and_names_the_run(tmp_path: Path) -> None:
    directory = kept(
        tmp_path, a_run("run-1", GOOD, DEAD), "one", "stages/mount/trace.txt", "part-2/stages/mount/trace.txt"
    )
    (directory / "stages/mount/trace.txt").write_text(
        "".join(f"toy_fill_super+0x{n:x} (super.c:{n})\n" for n in range(99))
    )
    report = vexlab(tmp_path, "report", "run-1").stdout
    assert "The kernel's trace, with source lines:\n\n```text\ntoy_fill_super+0x0 (super.c:0)\n" in report
    assert "59 more lines are shown by: vexlab logs trace --run run-1" in report
    assert "`vexlab logs trace --run run-1`" in report
    assert "trace, with" not in markdown.render_markdown(a_run("run-2", GOOD, BAD), traces={})


@pytest.mark.parametrize(
    ("stays", "is_up", "stage", "ssh"),
    [(True, True, BAD, True), (False, True, BAD, False), (True, False, BAD, False), (True, True, DEAD, False)],
    ids=["up", "taken down", "gone", "dead"],
)
def test_suggested_commands_fit_what_is_there(
    tmp_path: Path, stays: bool, is_up: bool, stage: Stage, ssh: bool
) -> None:
    """The run is named, and nobody is sent into a guest that isn't there."""
    lab = Lab("one", tmp_path)
    asleep = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)", "uuid-of-the-guest"]
    with subprocess.Popen(asleep, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is itself now, its words are in /proc
        if is_up:
            (tmp_path / "guest.json").write_text(json.dumps({"pid": process.pid, "uuid": "uuid-of-the-guest"}))
        problem = order.not_passed(a_run("run-1", GOOD, stage, verdict=stage.verdict), lab, stays=stays)
        process.kill()
    assert problem.message == f"stage mount {stage.verdict}: why"
    assert problem.hint.startswith("vexlab report run-1; vexlab logs --run run-1")
    assert ("vexlab ssh --name one" in problem.hint) == ssh


def test_evidence_is_told_in_the_order_of_stages(tmp_path: Path) -> None:
    """As the report and results.json list it: by their names, `build` would be before `structure`."""
    for name in ("build", "errors", "load", "structure"):
        (tmp_path / "stages" / name).mkdir(parents=True)
        for kept in ("kernel.log", "trace.txt"):
            (tmp_path / "stages" / name / kept).touch()
    names = list(run_facts.evidence_of([tmp_path], tmp_path, finished=False))
    assert names == [
        f"{what} of {name}" for what in ("kernel log", "trace.txt") for name in ("structure", "build", "load", "errors")
    ]
