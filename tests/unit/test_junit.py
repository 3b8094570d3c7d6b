"""JUnit as CI services read it: red when the run is, and each red case with its place, its cause and the evidence."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from tests.unit.example_runs import ALL_PASSED, NASTY, a_run, cut_short, with_known_failure, with_last
from vexlab.errors import VexlabError
from vexlab.gate import run_criteria
from vexlab.report import junit_file
from vexlab.results.model import Check, Run, Stage, Verdict


def junit(run: Run, tmp_path: Path) -> ET.Element:
    junit_file.write_junit(run, tmp_path / "junit.xml", tmp_path)
    return ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - written two lines above


def case_of(root: ET.Element, name: str) -> ET.Element:
    return next(case for case in root.iter("testcase") if f"{case.get('classname')}.{case.get('name')}".endswith(name))


def test_suite_per_stage_and_case_per_check(tmp_path: Path) -> None:
    """None is made up for a stage that was not reached."""
    root = junit(with_last(Verdict.FAILED), tmp_path)
    assert [suite.get("name") for suite in root] == list(run_criteria.CATEGORIES)
    stress, errors = root[-2], root[-1]
    cases = [(case.get("classname"), case.get("name")) for case in stress.iter("testcase")]
    assert cases == [("vexfs.stress.stress", name) for name in ("three", "one", "two")]  # the one that failed is first
    assert [result.tag for result in stress.findall("testcase/*")] == ["failure", "skipped"]
    assert list(errors.iter("testcase")) == []
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "13", "failures": "1", "errors": "0", "skipped": "6",
    }  # fmt: skip


def test_stage_that_was_not_asked_for_is_not_listed(tmp_path: Path) -> None:
    run = replace(ALL_PASSED, stages=(*ALL_PASSED.stages[:2], Stage("load")), selected=("structure", "build"))
    assert [suite.get("name") for suite in junit(run, tmp_path)] == ["structure", "build"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_red_unless_the_run_passed(tmp_path: Path, verdict: Verdict) -> None:
    root = junit(with_last(verdict), tmp_path)
    red = int(root.get("failures", "0")) + int(root.get("errors", "0"))
    assert bool(red) == (verdict is not Verdict.PASSED)


@pytest.mark.parametrize(("verdict", "tag"), [("failed", "failure"), ("panicked", "error"), ("hung", "error")])
@pytest.mark.parametrize(("achieved", "name"), [(False, "build.stage.role"), (None, "build.stage.whole")])
def test_stage_without_a_failed_check_gets_a_case_of_its_own(
    tmp_path: Path, verdict: str, tag: str, achieved: bool | None, name: str
) -> None:
    checks = (Check("a.b", Verdict.PASSED, 1.0),)
    bad = Stage("build", Verdict(verdict), 1.0, "make: *** error", checks, achieved=achieved)
    root = junit(a_run({}, stages=(bad,), selected=("build",), verdict=Verdict(verdict)), tmp_path)
    own = root.findall("testsuite/testcase")[0]
    assert f"{own.get('classname')}.{own.get('name')}" == f"vexfs.{name}"
    assert (own[0].tag, own[0].get("message")) == (tag, "make: *** error")


@pytest.mark.parametrize(("tree", "file"), [("repository/fs", "fs/super.c"), ("elsewhere", "{tree}/super.c")])
def test_error_of_a_compiler_is_at_its_place_in_the_repository(tmp_path: Path, tree: str, file: str) -> None:
    """Services link a path to the repository that they show; without one there is only where the file is."""
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    (tmp_path / tree).mkdir()
    reason = f"{tmp_path / tree}/super.c:7:2: error: unknown type name"
    bad = Stage("build", Verdict.FAILED, 1.0, reason, achieved=False)
    root = junit(a_run({}, stages=(bad,), selected=("build",), verdict=Verdict.FAILED), tmp_path)
    case = case_of(root, "build.stage.role")
    assert (case.get("file"), case.get("line")) == (file.format(tree=tmp_path / tree), "7")


def test_red_case_has_its_place_its_cause_and_what_the_kernel_said(tmp_path: Path) -> None:
    """And nothing beside it is red for the same cause."""
    files = tmp_path / "stages" / "mount"
    files.mkdir(parents=True)
    (files / "trace.txt").write_text("BUG: kernel NULL pointer dereference\n toyfs_lookup+0x1 (namei.c:12)\n")
    (files / "kernel.log").write_text("".join(f"[{number}.0] line {number}\n" for number in range(500)))
    checks = (
        Check("names.long", Verdict.PASSED, 0.5, place="tests/stages/mount/test_names.py:7"),
        Check("names.lookup", Verdict.PANICKED, 2.0, "BUG: it died\nmore", place="tests/stages/mount/test_names.py:31"),
    )
    bad = Stage("mount", Verdict.PANICKED, 9.0, "BUG: it died", checks, "stages/mount/kernel.log")
    root = junit(a_run({}, stages=(bad,), selected=("mount",), verdict=Verdict.PANICKED), tmp_path)
    assert (root.get("tests"), root.get("errors")) == ("2", "1")
    case = case_of(root, "vexfs.mount.names.lookup")
    assert (case.get("file"), case.get("line")) == ("tests/stages/mount/test_names.py", "31")
    error, told = case.find("error"), case.findtext("system-out") or ""
    assert error is not None
    assert (error.get("message"), error.get("type"), error.text) == ("BUG: it died", "panicked", "BUG: it died\nmore")
    assert told.startswith(
        "trace:\nBUG: kernel NULL pointer dereference\n toyfs_lookup+0x1 (namei.c:12)\n\nkernel mess"
    )
    assert "kernel messages of stage mount, the last 200 of 500 lines:\n[300.0] line 300\n" in told
    assert told.endswith("line 499")
    assert case_of(root, "names.long").find("system-out") is None


def test_most_telling_case_is_first_and_alone_has_the_kernels_messages(tmp_path: Path) -> None:
    """Of eighty red cases each had the same 200 lines, and the crash was somewhere among them."""
    files = tmp_path / "stages" / "mount"
    files.mkdir(parents=True)
    (files / "trace.txt").write_text("BUG: it died\n")
    (files / "kernel.log").write_text("[1.0] a message\n")
    checks = (
        Check("files.small", Verdict.FAILED, 0.5, "it reads otherwise"),
        Check("files.ok", Verdict.PASSED, 0.5),
        Check("names.lookup", Verdict.PANICKED, 2.0, "BUG: it died"),
    )
    bad = Stage("mount", Verdict.PANICKED, 9.0, "BUG: it died", checks, "stages/mount/kernel.log")
    root = junit(a_run({}, stages=(bad,), selected=("mount",), verdict=Verdict.PANICKED), tmp_path)
    assert [case.get("name") for case in root.iter("testcase")] == ["lookup", "small", "ok"]
    said = [case.findtext("system-out") for case in root.iter("testcase")]
    assert said == [
        "trace:\nBUG: it died\n\nkernel messages of stage mount:\n[1.0] a message",
        "kernel messages of stage mount: see names.lookup, the first case of this stage",
        None,
    ]


@pytest.mark.parametrize("path", ["../secret.log", "{outside}/secret.log", "link.log", "\0"])
def test_what_is_not_in_the_directory_of_the_run_is_not_read(tmp_path: Path, path: str) -> None:
    """Results may come from anywhere, and so may what they name."""
    directory = tmp_path / "run"
    directory.mkdir()
    for name in ("secret.log", "trace.txt"):
        (tmp_path / name).write_text("a secret\n")
    (directory / "link.log").symlink_to(tmp_path / "secret.log")
    checks = (Check("names.lookup", Verdict.PANICKED, 2.0, "BUG: it died"),)
    bad = Stage("mount", Verdict.PANICKED, 9.0, "BUG", checks, path.format(outside=tmp_path))
    root = junit(a_run({}, stages=(bad,), selected=("mount",), verdict=Verdict.PANICKED), directory)
    assert case_of(root, "names.lookup").find("system-out") is None


def test_it_is_pretty_printed(tmp_path: Path) -> None:
    junit(ALL_PASSED, tmp_path)
    lines = (tmp_path / "junit.xml").read_text().splitlines()
    assert sum("<testcase " in line for line in lines) == sum(len(stage.checks) for stage in ALL_PASSED.stages)
    assert max(line.count("<testcase ") for line in lines) == 1


def test_known_failure_advice_and_what_was_not_reached(tmp_path: Path) -> None:
    case = case_of(junit(with_known_failure(), tmp_path), "rename.three")
    assert [(part.tag, part.get("type"), part.get("message")) for part in case] == [("skipped", "xfailed", "issue 7")]
    told = Check("build.alias", Verdict.PASSED, 0.5, "", "the module has no alias fs-toy")
    run = replace(ALL_PASSED, stages=(replace(ALL_PASSED.stages[1], checks=(told,)),))
    case = case_of(junit(run, tmp_path), "build.alias")
    assert [(part.tag, part.text) for part in case] == [("system-out", "advice: the module has no alias fs-toy")]
    case = case_of(junit(cut_short(), tmp_path), "files.number_57")
    assert [part.tag for part in case] == ["skipped"]


def test_run_without_stages_is_red(tmp_path: Path) -> None:
    assert [suite.get("name") for suite in junit(a_run({}), tmp_path)] == ["run"]


def test_it_survives_what_checks_print(tmp_path: Path) -> None:
    checks = (Check(NASTY, Verdict.FAILED, 1.0, NASTY, place=NASTY),)
    bad = Stage(NASTY, Verdict.FAILED, 1.0, NASTY, checks)
    root = junit(a_run({}, stages=(bad,), selected=(NASTY,), verdict=Verdict.FAILED, run=NASTY), tmp_path)
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert (failure.text or "").startswith("first | line\nsecond `tick` red <b>&amp;")


def test_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(VexlabError, match="can't be written"):
        junit_file.write_junit(ALL_PASSED, tmp_path / "missing" / "junit.xml", tmp_path)
