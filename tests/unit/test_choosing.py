"""What is judged when a person names checks, or asks for what failed last time; and what no choice may be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit import gate_evidence
from vexlab.config import settings, stage_list
from vexlab.errors import UsageProblem
from vexlab.report import markdown
from vexlab.results import results_file
from vexlab.results.model import Check, Run, Stage, Verdict, left_out
from vexlab.run import selection
from vexlab.run.replan import Choice

ALL = tuple(stage_list.stages_for(()))
ROOT = Path(__file__).parents[2]
CONTRACT = settings.of_target(None)


@pytest.mark.parametrize(
    ("names", "within", "judged", "applied"),
    [
        (["mount/rename*"], ALL, {"mount": ("rename*",)}, ("structure", "build", "load", "mkfs")),
        (["mount/rename"], ALL, {"mount": ("rename",)}, ("structure", "build", "load", "mkfs")),
        (["rename.parent_follows"], ALL, {"mount": ("rename.parent_follows",)}, ("structure", "build", "load", "mkfs")),
        (["load/load.*", "load/variant"], ALL, {"load": ("load.*", "variant")}, ("structure", "build")),
        (
            ["*/kernel"],
            ("load", "mkfs"),
            {"load": ("kernel",), "mkfs": ("kernel",)},
            ("structure", "build"),
        ),
        (["m*/superblock", "mkfs/refusals"], ALL, {"mkfs": ("superblock", "refusals")}, ("structure", "build")),
    ],
)
def test_names_and_globs(
    names: list[str], within: tuple[str, ...], judged: dict[str, tuple[str, ...]], applied: tuple[str, ...]
) -> None:
    """What the checks stand on is brought about, and not judged: the person asked for something else."""
    found = selection.by_name(names, within, CONTRACT)
    assert found.judged == tuple(judged)
    assert found.applied == applied
    assert found.choices == {stage: Choice(only=only) for stage, only in judged.items()}
    assert found.chosen == tuple(f"{stage}/{name}" for stage, only in judged.items() for name in only)


@pytest.mark.parametrize(
    ("name", "within", "said", "near"),
    [
        ("mount/rename.parent_folows", ALL, "names no check", "mount/rename.parent_follows"),
        ("parent_follows", ALL, "names no check", "mount/rename.parent_follows"),
        ("renam", ALL, "names no check", "mount/rename.*"),
        ("mout/rename", ALL, "there is no stage 'mout'", "did you mean mount?"),
        ("mount/rename", ("errors",), "is of no stage that --stage names: errors", "leave --stage out"),
        ("mount/", ALL, "names no check", "vexlab checks lists them"),
        ("", ALL, "names no check", "vexlab checks lists them"),
        ("mount/rename.parent_follows[x]", ALL, "rename.parent_follows has no such parameter", "vexlab checks"),
    ],
)
def test_unknown_name_is_told_with_near_ones(name: str, within: tuple[str, ...], said: str, near: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        selection.by_name([name], within, CONTRACT)
    assert said in problem.value.message
    assert near in problem.value.hint
    assert problem.value.exit_code == 2


def test_parameters_are_those_that_pytest_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the target file, and from tables that the checks bring along; no option of ours changes them."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-v -k nothing")
    names = ["mount/rename.tree_is_right[file over*]"]
    assert selection.by_name(names, ALL, CONTRACT).choices == {
        "mount": Choice(only=("rename.tree_is_right[file over*]",))
    }
    assert "rename.tree_is_right[file over file]" in selection.planned("mount", CONTRACT)


def test_checks_that_the_target_has_skipped_are_no_choice() -> None:
    """Nothing would be judged, and the stage would be skipped after minutes."""
    with pytest.raises(UsageProblem, match="'mount/rename' would be skipped: target vexfs does not claim: rename"):
        selection.by_name(["mount/rename"], ALL, CONTRACT | {"vexlab_capabilities": ["read-write", "directories"]})
    of_memory = CONTRACT | {"vexlab_device_kind": "none"}
    with pytest.raises(UsageProblem, match="'mkfs/superblock' names no check"):
        selection.by_name(["mkfs/superblock"], ALL, of_memory)


def a_stage(name: str, verdict: Verdict, *checks: tuple[str, Verdict], left: int = 0) -> Stage:
    found = tuple(Check(check, each, 0.1, "" if each is Verdict.PASSED else "why") for check, each in checks)
    return Stage(name, verdict, 1.0, "", found, left_out=left)


def a_run(*stages: Stage, **changes: Any) -> Run:
    return Run("run-1", Verdict.FAILED, "toy", "then", None, "0", None, None, stages, {}, ALL, **changes)


def test_failed_is_what_went_wrong_in_the_last_run() -> None:
    mount = a_stage(
        "mount",
        Verdict.PANICKED,
        ("rename.parent_follows", Verdict.FAILED),
        ("files.file_is_appended_to", Verdict.PANICKED),
        ("links.hard_link_is_the_same_file", Verdict.NOT_RUN),
        ("rename.tree_is_right[file]", Verdict.XFAILED),
    )
    build = a_stage("build", Verdict.FAILED, ("build.module_is_built", Verdict.PASSED))  # of its role
    outdated = a_stage("errors", Verdict.FAILED, ("known_failures", Verdict.FAILED))  # written down as if it were one
    found = selection.failed(a_run(build, mount, outdated, a_stage("stress", Verdict.NOT_RUN)), ALL)
    assert dict(found.choices) == {
        "build": Choice(only=("*",)),
        "mount": Choice(only=("rename.parent_follows", "files.file_is_appended_to")),
        "errors": Choice(only=("*",)),
    }
    assert found.applied == ("structure", "load", "mkfs")


def test_nothing_failed_is_no_choice() -> None:
    with pytest.raises(UsageProblem, match="nothing failed in run-1"):
        selection.failed(a_run(a_stage("mount", Verdict.PASSED, ("rename.x", Verdict.PASSED))), ALL)
    with pytest.raises(UsageProblem, match="nothing failed"):
        selection.failed(a_run(a_stage("mount", Verdict.FAILED, ("rename.x", Verdict.FAILED))), ["errors"])


def test_results_and_report_say_what_was_left_out() -> None:
    run = a_run(a_stage("mount", Verdict.FAILED, ("rename.x", Verdict.FAILED), left=97), chosen=("mount/rename*",))
    assert left_out(run) == "97 checks of stage mount"
    again = results_file.from_document(results_file.to_document(run))
    assert (again.chosen, again.stages[0].left_out) == (("mount/rename*",), 97)
    report = markdown.render_markdown(run)
    assert "- **Chosen**: `mount/rename*`; left out: 97 checks of stage mount. This run is no evidence" in report
    assert "**Chosen**" not in markdown.render_markdown(gate_evidence.a_run())


def test_stage_of_which_checks_were_left_out_covers_nothing() -> None:
    """It passed, and yet a part of its category was not looked at."""
    whole = gate_evidence.a_run()
    stages = tuple(replace(stage, left_out=9) if stage.name == "errors" else stage for stage in whole.stages)
    partial = gate_evidence.a_run(stages=stages)
    assert "LOW" in markdown.render_markdown(whole)
    text = markdown.render_markdown(partial)
    assert "### Current Risk Level: MEDIUM" in text
    assert "- [ ] Error handling validates properly: 9 checks of stage errors were left out" in text


def vexlab(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *arguments], capture_output=True, text=True, env=os.environ | home,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_list_names_promises_and_what_is_skipped(tmp_path: Path) -> None:
    done = vexlab(
        tmp_path, "checks", "--target", str(ROOT / "examples/targets/nodev.yml"), "mount/rename", "errors/damage"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    place = lines.index("  mount/rename.answer_is_right")
    assert lines[place + 1] == "      A directory in its own child would be a loop that nobody can reach."
    place = lines.index("  errors/damage.damage")
    assert lines[place + 2] == "      skipped: target nodev is mounted without a device"
    assert lines[-1].endswith("checks; target nodev has 1 of them skipped")
    documents = json.loads(vexlab(tmp_path, "checks", "--json", "--stage", "load").stdout)
    assert {each["stage"] for each in documents} == {"load"}
    [live] = [each for each in documents if each["name"] == "load.module_is_live"]
    assert live["needs"] == ["loadable"]


@pytest.mark.parametrize("command", [("test",), ("checks",)])
def test_unknown_check_is_a_usage_error_before_anything_is_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    option = ["--check"] if command == ("test",) else []
    done = vexlab(tmp_path, *command, *option, "mount/renam.parent_follows")
    assert (done.returncode, done.stdout) == (2, "")
    assert "mount/rename.parent_follows" in done.stderr
    assert not (tmp_path / "state").exists()


def test_failed_without_a_run_and_with_names_is_refused(tmp_path: Path) -> None:
    done = vexlab(tmp_path, "test", "--failed")
    assert (done.returncode, "there is no run of lab" in done.stderr) == (2, True)
    done = vexlab(tmp_path, "test", "--failed", "--check", "mount/rename")
    assert (done.returncode, "give one of them" in done.stderr) == (2, True)
