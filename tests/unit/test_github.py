"""What GitHub Actions gets of a run: the reason at its place, whatever characters are in it, and nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

from tests.unit.example_runs import ALL_PASSED, NASTY, a_run
from vexlab.report import github
from vexlab.results.model import Check, Run, Stage, Verdict


def failed(stage: Stage) -> Run:
    return a_run({}, stages=(stage,), selected=(stage.name,), verdict=stage.verdict)


def test_compiler_error_is_at_its_place_in_the_repository(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "super.c").touch()
    reason = f"{tmp_path}/kernel/super.c:157:22: error: 'stats' undeclared"
    run = failed(Stage("build", Verdict.FAILED, 2.0, reason, details=f"{reason}\n  157 | stats"))
    [line] = github.commands(run, str(tmp_path))
    assert line == f"::error file=kernel/super.c,line=157,title=stage build failed::{reason}"
    assert f"```text\n{reason}\n  157 | stats\n```" in github.step_summary(run)
    assert github.step_summary(run).count(reason) == 1


def test_each_error_of_the_compiler_is_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "super.c").touch()
    errors = [f"{tmp_path}/super.c:{line}:5: error: '{name}' undeclared" for line, name in ((7, "one"), (90, "two"))]
    details = f"{tmp_path}/super.c: In function 'f':\n{errors[0]}\n    7 | one\n{errors[1]}\n   90 | two"
    lines = github.commands(failed(Stage("build", Verdict.FAILED, 2.0, errors[0], details=details)), str(tmp_path))
    assert [line.partition(",title")[0] for line in lines] == [
        "::error file=super.c,line=7", "::error file=super.c,line=90",
    ]  # fmt: skip


def test_check_that_failed_tells_its_reason(tmp_path: Path) -> None:
    """And its place, where that is in the repository: a filesystem's own has no checks of vexlab in it."""
    place = "tests/stages/mount/test_names.py:31"
    checks = (Check("names.long", Verdict.FAILED, 0.5, "3 of 5\nare gone: 100%", place=place),)
    run = failed(Stage("mount", Verdict.FAILED, 2.0, "names.long: 3 of 5", checks))
    assert github.commands(run, str(tmp_path)) == ["::error title=mount/names.long failed::3 of 5%0Aare gone: 100%25"]
    (tmp_path / "tests/stages/mount").mkdir(parents=True)
    (tmp_path / "tests/stages/mount/test_names.py").touch()
    [line] = github.commands(run, str(tmp_path))
    assert line.startswith("::error file=tests/stages/mount/test_names.py,line=31,title=mount/names.long failed::3 of")


def test_text_of_a_check_is_no_command(tmp_path: Path) -> None:
    run = failed(
        Stage("mount", Verdict.FAILED, 2.0, "", (Check(NASTY, Verdict.FAILED, 0.5, f"{NASTY}\n::set-env x::"),))
    )
    [line] = github.commands(run, str(tmp_path))
    assert line.count("\n") == 0
    assert line.startswith("::error title=mount/first | line%0Asecond")


def test_step_has_its_summary_and_nothing_is_said_elsewhere(tmp_path: Path) -> None:
    step = tmp_path / "summary.md"
    step.write_text("before\n")
    run = failed(Stage("load", Verdict.PANICKED, 2.0, "BUG: it died in toy_init (super.c:12)"))
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(step), "GITHUB_WORKSPACE": str(tmp_path)}
    assert github.tell(run, {"GITHUB_STEP_SUMMARY": str(step)}) == ""
    assert step.read_text() == "before\n"
    told = github.tell(run, environment)
    assert told == "::error title=stage load panicked::BUG: it died in toy_init (super.c:12)\n"
    text = step.read_text()
    assert text.startswith("before\n### vexlab: vexfs panicked\n")
    assert "| load | panicked | panicked: BUG: it died in toy_init (super.c:12) |" in text
    assert github.tell(ALL_PASSED, environment) == ""
    assert "### vexlab: vexfs passed" in step.read_text()


def test_no_more_than_github_shows(tmp_path: Path) -> None:
    checks = tuple(Check(f"names.n{number}", Verdict.FAILED, 0.5, "gone" * number) for number in range(30))
    lines = github.commands(failed(Stage("mount", Verdict.FAILED, 2.0, "", checks)), str(tmp_path))
    assert (len(lines), "names.n0 " in lines[0]) == (10, True)


def test_what_died_is_first_and_each_cause_is_told_once(tmp_path: Path) -> None:
    """A crash that comes after ten failed checks would be shown by nobody."""
    small = tuple(Check(f"files.n{number}", Verdict.FAILED, 0.5, "gone" * (number + 1)) for number in range(12))
    died = tuple(Check(f"names.lookup[{case}]", Verdict.PANICKED, 0.5, "BUG: it died") for case in "abc")
    mkfs = Stage("mkfs", Verdict.FAILED, 2.0, "", small[:3])
    stages = (mkfs, Stage("mount", Verdict.PANICKED, 2.0, "", small + died))
    lines = github.commands(a_run({}, stages=stages, verdict=Verdict.PANICKED), str(tmp_path))
    assert lines[0] == "::error title=mount/names.lookup[a] panicked (and of 2 more checks)::BUG: it died"
    assert len(lines) == 10
    assert sum("lookup" in line for line in lines) == 1
