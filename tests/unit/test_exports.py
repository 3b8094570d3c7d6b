"""A run as other tools read it: each form by its own schema, red when the run is, with the logs that tell why."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from click.testing import CliRunner
from kcidb_io.schema.v05_03 import Version
from msgspec.structs import replace

from tests.unit.ctrf_schema import SCHEMA
from tests.unit.example_runs import ALL_PASSED, NASTY, a_run, cut_short, stage, with_known_failure, with_last
from vexlab.cli.main import cli
from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.report import allure, ctrf, kcidb
from vexlab.results import results_file
from vexlab.results.model import Check, Run, Stage, Verdict

HERE = Path(__file__).parent
FORMER = [results_file.read(path) for path in sorted((HERE / "former").glob("*.json"))]
DIED = Stage(
    "mount",
    Verdict.PANICKED,
    9.0,
    "BUG: it died",
    (Check("names.lookup", Verdict.PANICKED, 2.0, "BUG: it died\nmore"),),
)
RUNS = {
    "passed": ALL_PASSED,
    "failed": with_last(Verdict.FAILED),
    "panicked": cut_short(),
    "lost": with_last(Verdict.LOST),
    "known failure": with_known_failure(),
    "cut off": replace(with_last(Verdict.HUNG), finished=None, verdict=Verdict.NOT_RUN),
    "nothing reached": a_run({}, stages=(Stage("build"),), selected=("build",), module=None, guest=None, started="?"),
    "nasty": a_run(
        {}, target=NASTY, stages=(stage("mount", Verdict.FAILED, NASTY), Stage(NASTY, Verdict.LOST)), selected=()
    ),
    **{f"former {index}": run for index, run in enumerate(FORMER)},
}
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The directory of a run that died in stage mount, with all its logs."""
    directory = tmp_path / "run"
    (directory / "stages" / "mount").mkdir(parents=True)
    for name in ("console.log", "build.log", "stages/mount/trace.txt", "stages/mount/kernel.log"):
        (directory / name).write_text(f"words of {name} \x1b[31m\x00\n" * 1000, encoding="utf-8")
    return directory


def ctrf_of(run: Run, directory: Path, attachments: dict[Path, str] | None = None) -> Any:
    document = json.loads(ctrf.render(run, attachments or {}, directory))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(document)
    return document


def kcidb_of(run: Run, directory: Path, base_url: str = "") -> Any:
    document = json.loads(kcidb.render(run, directory, "vexlab", base_url))
    Version.validate_exactly(document)
    return document


def allure_of(run: Run, directory: Path, output: Path) -> list[Any]:
    assert allure.Writer(run, directory, output).write() == len(list(output.glob("*-result.json")))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in output.glob("*-result.json")]
    return sorted(found, key=lambda result: result.get("start", 0))


@every_run
def test_ctrf_fits_its_schema_and_is_red_unless_passed(run: Run, tmp_path: Path) -> None:
    results = ctrf_of(run, tmp_path)["results"]
    statuses = [test["status"] for test in results["tests"]]
    counted = {status: statuses.count(status) for status in ("passed", "failed", "skipped", "pending", "other")}
    assert counted == {status: results["summary"][status] for status in counted}
    assert results["summary"]["tests"] == len(statuses)
    assert bool(counted["failed"]) == (run.verdict is not Verdict.PASSED)
    assert results["summary"]["stop"] >= results["summary"]["start"]


@every_run
def test_kcidb_fits_its_schema_and_is_red_unless_passed(run: Run, tmp_path: Path) -> None:
    document = kcidb_of(run, tmp_path)
    red = [test for test in document["tests"] if test["status"] in ("FAIL", "ERROR")]
    known = [test for test in red if test["misc"]["vexlab"]["verdict"] == "xfailed"]
    only_not_run = run.verdict is Verdict.NOT_RUN and not red
    assert (bool(red) and red != known) == (run.verdict is not Verdict.PASSED) or only_not_run
    assert only_not_run <= any(test["status"] == "MISS" for test in document["tests"])
    identities = [test["id"] for test in document["tests"]]
    assert len(identities) == len(set(identities))


@every_run
def test_allure_has_a_result_per_check_and_is_red_unless_passed(run: Run, tmp_path: Path) -> None:
    results = allure_of(run, tmp_path, tmp_path / "out")
    assert {result["status"] for result in results} <= {"passed", "failed", "broken", "skipped", "unknown"}
    assert any(result["status"] in ("failed", "broken") for result in results) == (run.verdict is not Verdict.PASSED)
    assert all(result["stop"] >= result["start"] for result in results if "start" in result)
    assert len({result["historyId"] for result in results}) == len(results)
    checks = {f"{run.target}/{stage.name}/{check.name}" for stage in run.stages for check in stage.checks}
    assert len(results) >= len(checks)
    facts = (tmp_path / "out" / "environment.properties").read_text(encoding="utf-8").splitlines()
    assert f"verdict={run.verdict}" in facts


def test_red_case_has_its_logs(logs: Path, tmp_path: Path) -> None:
    """As they are, each once, and the trace first; what passed has none."""
    fine = Check("names.long", Verdict.PASSED, 0.5)
    run = a_run({}, stages=(replace(DIED, checks=(fine, *DIED.checks, *DIED.checks)),), selected=("mount",))
    passed, died, again = allure_of(run, logs, tmp_path / "out")
    assert "attachments" not in passed
    assert [each["name"] for each in died["attachments"]] == ["trace", "kernel messages", "console"]
    assert died["attachments"] == again["attachments"]
    copy = tmp_path / "out" / died["attachments"][0]["source"]
    assert copy.read_bytes() == (logs / "stages" / "mount" / "trace.txt").read_bytes()
    [whole] = (tmp_path / "out").glob("*-globals.json")
    named = {each["name"]: each["source"] for each in json.loads(whole.read_text())["attachments"]}
    assert set(named) == {"build", "console"}
    assert named["console"] == died["attachments"][2]["source"]
    trace = logs / "stages" / "mount" / "trace.txt"
    tests = ctrf_of(run, logs, {trace: "there/trace.txt"})["results"]["tests"]
    assert "attachments" not in tests[0]
    assert [each["path"] for each in tests[1]["attachments"]] == ["there/trace.txt"]
    document = kcidb_of(replace(run, stages=(DIED,)), logs, "https://example.org/runs/1/")
    test = document["tests"][0]
    assert test["log_url"] == "https://example.org/runs/1/stages/mount/trace.txt"
    assert [each["name"] for each in test["output_files"]] == ["kernel.log", "console.log"]
    assert "BUG: it died\nmore\n\ntrace:\n" in test["log_excerpt"]
    assert test["log_excerpt"].endswith("words of stages/mount/trace.txt \N{REPLACEMENT CHARACTER}\n")
    assert document["builds"][0]["log_url"] == "https://example.org/runs/1/build.log"


def test_verdicts_that_a_form_has_no_word_for(tmp_path: Path) -> None:
    checks = tuple(Check(f"a.{verdict}", verdict, 1.0, "why") for verdict in Verdict)
    run = a_run({}, stages=(Stage("mount", Verdict.FAILED, 9.0, "why", checks),), selected=("mount",))
    kernelci = {test["path"].rpartition(".")[2]: test["status"] for test in kcidb_of(run, tmp_path)["tests"]}
    assert kernelci == {
        "passed": "PASS", "failed": "FAIL", "panicked": "FAIL", "hung": "FAIL", "lost": "ERROR", "skipped": "SKIP",
        "xfailed": "FAIL", "not_run": "MISS",
    }  # fmt: skip
    bots = {test["rawStatus"]: test["status"] for test in ctrf_of(run, tmp_path)["results"]["tests"]}
    assert bots == {
        "passed": "passed", "failed": "failed", "panicked": "failed", "hung": "failed", "lost": "failed",
        "skipped": "skipped", "xfailed": "skipped", "not_run": "pending",
    }  # fmt: skip
    results = allure_of(run, tmp_path, tmp_path / "out")
    assert {result["name"]: result["status"] for result in results} == {
        "passed": "passed", "failed": "failed", "panicked": "broken", "hung": "broken", "lost": "broken",
        "skipped": "skipped", "xfailed": "skipped", "not_run": "unknown",
    }  # fmt: skip
    assert [r["name"] for r in results if r.get("statusDetails", {}).get("known")] == ["xfailed"]


def test_endless_text_is_cut_and_says_so(tmp_path: Path) -> None:
    """10 MB of a guest's words would be a report that no dashboard opens."""
    run = a_run({}, stages=(stage("mount", Verdict.FAILED, f"{NASTY}<script>" * 120_000),), selected=("mount",))
    assert len(json.dumps(ctrf_of(run, tmp_path))) < 1 << 20
    excerpt = next(test for test in kcidb_of(run, tmp_path)["tests"] if test["status"] == "FAIL")["log_excerpt"]
    assert len(excerpt) <= 16_384
    assert "cut; results.json has all" in excerpt
    allure_of(run, tmp_path, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) < 1 << 20


def test_history_of_allure_is_one_per_kernel(tmp_path: Path) -> None:
    """Results of two kernels in one directory are no retries of each other; those of one kernel are."""
    one = replace(ALL_PASSED, kernel="6.1.0-amd64")
    runs = {"one": one, "again": replace(one, run="later"), "other": replace(one, kernel="6.12.0-amd64")}
    made = {name: allure_of(run, tmp_path, tmp_path / name) for name, run in runs.items()}
    histories = {name: {result["historyId"] for result in results} for name, results in made.items()}
    assert histories["one"] == histories["again"]
    assert not histories["one"] & histories["other"]
    assert {result["uuid"] for result in made["one"]}.isdisjoint(result["uuid"] for result in made["again"])


def test_origin_that_kernelci_can_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="'Big CI' is no origin"):
        kcidb.render(ALL_PASSED, tmp_path, "Big CI", "")


def test_document_that_would_not_be_right_is_not_given_out(tmp_path: Path) -> None:
    """As one of a run that says of itself what no run can."""
    odd = Check("a.b", Verdict.PASSED, cast(float, "soon"))
    run = a_run({}, stages=(Stage("mount", Verdict.PASSED, 1.0, "", (odd,)),), selected=("mount",))
    with pytest.raises(VexlabError, match="would not be right by KCIDB's schema: tests/0/duration: 'soon'"):
        kcidb.render(run, tmp_path, "vexlab", "")


class Site:
    """A state directory with one run that died, which the command finds."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Path) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        self.run = a_run({}, stages=(DIED,), selected=("mount",), verdict=Verdict.PANICKED)
        self.directory = tmp_path / "state" / "vexlab" / "runs" / self.run.run
        self.directory.parent.mkdir(parents=True)
        logs.rename(self.directory)
        results_file.write(self.directory / "results.json", self.run)

    def export(self, *words: str) -> str:
        done = CliRunner().invoke(cli, ["export", *words], standalone_mode=False)
        if done.exception:
            raise done.exception
        return done.stdout


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Path) -> Site:
    return Site(tmp_path, monkeypatch, logs)


def test_ctrf_brings_its_logs_along(site: Site, tmp_path: Path) -> None:
    """Beside the document, where it is a file; a document on stdout names no file that nobody gets."""
    assert "attachments" not in json.loads(site.export("ctrf"))["results"]["tests"][0]
    assert site.export("ctrf", "--output", str(tmp_path / "report.json")) == ""
    test = json.loads((tmp_path / "report.json").read_text())["results"]["tests"][0]
    paths = [each["path"] for each in test["attachments"]]
    assert paths[0] == "report-attachments/stages/mount/trace.txt"
    assert all((tmp_path / path).read_text().startswith("words of") for path in paths)
    linked = json.loads(site.export("ctrf", "--base-url", "https://example.org/r"))["results"]["tests"][0]
    assert linked["attachments"][0]["path"] == "https://example.org/r/stages/mount/trace.txt"


def test_github_gets_annotations_and_a_summary_when_asked_to(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run gives them there by itself; where a trace names a line of the module, the annotation is there."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    source = tmp_path / "repository" / "module"
    source.mkdir(parents=True)
    (source / "super.c").touch()
    (site.directory / "contract.json").write_text(json.dumps({"vexlab_source": str(source)}))
    message = "BUG: it died in toy_init+0x1/0x20 [toy] (super.c:12)"
    died = replace(DIED, checks=(Check("names.lookup", Verdict.PANICKED, 2.0, message),))
    results_file.write(site.directory / "results.json", replace(site.run, stages=(died,)))
    told = site.export("github", "--output", str(tmp_path / "summary.md"))
    assert told == f"::error file=repository/module/super.c,line=12,title=mount/names.lookup panicked::{message}\n"
    assert (tmp_path / "summary.md").read_text().startswith("### vexlab: vexfs panicked\n")


def test_allure_is_told_where_to(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="results for Allure are written to a directory"):
        site.export("allure")
    (tmp_path / "file").touch()
    with pytest.raises(UsageProblem, match="file is no directory"):
        site.export("allure", "--output", str(tmp_path / "file"))
    site.export("allure", "-o", str(tmp_path / "out"))
    assert len(list((tmp_path / "out").glob("*-result.json"))) == 1


@pytest.mark.parametrize(("kind", "library"), [("allure", "allure_commons"), ("kcidb", "kcidb_io")])
def test_missing_library_is_told_with_what_installs_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, library: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"vexlab.report.{kind}")
    monkeypatch.delattr(f"vexlab.report.{kind}")
    with pytest.raises(
        HostProblem, match=r"the Python package (allure-python-commons|kcidb-io) is not installed"
    ) as told:
        site.export(kind, "-o", str(tmp_path / "out"))
    assert "pip install 'vexlab[export]'" in told.value.hint


def test_evidence_that_was_edited_is_told(site: Site, tmp_path: Path) -> None:
    from vexlab.gate import evidence

    evidence.seal(site.directory, replace(site.run, finished=datetime.now().astimezone().isoformat()))
    (site.directory / "console.log").write_text("edited")
    done = CliRunner().invoke(cli, ["export", "junit"], standalone_mode=False)
    assert done.exception is None
    assert "is not as it was sealed" in done.stderr
