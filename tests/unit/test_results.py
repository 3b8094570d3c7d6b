"""What a verdict is: judged by the rules, written and read back without loss, refused when it claims too much."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from vexlab.errors import VexlabError
from vexlab.gate import evidence
from vexlab.report import junit_file, markdown
from vexlab.results import judging, model, results_file, schema
from vexlab.results.judging import judge_run
from vexlab.results.model import (
    Amounts,
    Check,
    Contract,
    DeviceRecord,
    GuestRecord,
    Machine,
    ModuleRecord,
    Reruns,
    Run,
    Stage,
    Verdict,
)

PASSED = Check("superblock has the magic", Verdict.PASSED, 0.25)
FAILED = Check("names survive a remount", Verdict.FAILED, 1.5, "\n  AssertionError: 3 of 5 names are gone\nmore lines")
KNOWN = Check("rename over a file", Verdict.XFAILED, 0.5, "issue 7\nthe old name is back")
SKIPPED = Check("rename", Verdict.SKIPPED, 0.0, "the target does not claim rename")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text())
FORMER = Path(__file__).with_name("former")  # what former versions of vexlab wrote, shortened to two checks per stage


def judge(**given: Any) -> Stage:
    usual: dict[str, Any] = {
        "began": True, "role_ok": True, "role_reason": "", "tests_ok": True, "checks": [PASSED],
        "interruption": None, "interruption_reason": "", "seconds": 2.0,
    }  # fmt: skip
    return judging.judge_stage("mount", **(usual | given))


def a_run(**changes: Any) -> Run:
    stages = (
        Stage("structure", Verdict.PASSED, 1.0, "", (PASSED, SKIPPED), "stages/structure/kernel.log", 4096),
        Stage("build", Verdict.FAILED, 2.0, "names survive a remount: boom", (PASSED, FAILED), None, None),
        Stage("load"),
    )
    run = Run(
        run="20261122-090000-ab12", verdict=Verdict.FAILED, target="vexfs", started="2026-11-22T09:00:00+00:00",
        finished="2026-11-22T09:02:00+00:00", suite_version="0.1.0",
        module=ModuleRecord("vexfs", "ab" * 32, "0123", "c-only", "cd" * 20),
        guest=GuestRecord("6.12.0-amd64", "tcg", "7.2.0", False, 2048, 2, 2222, "/mnt/source", "0123456789abcdef"),
        stages=stages, evidence={"console": "console.log"}, selected=("structure", "build", "load"),
    )  # fmt: skip
    return replace(run, **changes)


@pytest.mark.parametrize(
    ("given", "verdict", "reason"),
    [
        ({}, Verdict.PASSED, ""),
        ({"role_ok": None}, Verdict.PASSED, ""),
        ({"checks": [SKIPPED, PASSED]}, Verdict.PASSED, ""),
        ({"checks": [KNOWN, PASSED]}, Verdict.PASSED, ""),
        ({"checks": [KNOWN, PASSED, FAILED]}, Verdict.FAILED, "names survive"),
        ({"checks": [KNOWN]}, Verdict.SKIPPED, "issue 7"),
        ({"began": False}, Verdict.NOT_RUN, ""),
        ({"began": False, "interruption": Verdict.LOST, "interruption_reason": "gone"}, Verdict.NOT_RUN, "gone"),
        ({"interruption": Verdict.PANICKED, "interruption_reason": "Oops"}, Verdict.PANICKED, "Oops"),
        ({"interruption": Verdict.HUNG, "role_ok": False, "checks": [FAILED]}, Verdict.HUNG, "ended as hung"),
        ({"role_ok": False, "role_reason": "make: error"}, Verdict.FAILED, "make: error"),
        ({"role_ok": False, "checks": []}, Verdict.FAILED, "the role of the stage failed"),
        ({"tests_ok": None}, Verdict.FAILED, "the checks of the stage did not run"),
        ({"checks": [PASSED, FAILED]}, Verdict.FAILED, "a remount: AssertionError: 3 of 5 names are gone"),
        ({"checks": [FAILED], "tests_ok": None}, Verdict.FAILED, "names survive"),
        ({"checks": [Check("x", Verdict.NOT_RUN, 0), FAILED]}, Verdict.FAILED, "names survive"),
        ({"checks": [FAILED, Check("x", Verdict.HUNG, 70, "SIGKILL")], "tests_ok": False}, Verdict.HUNG, "x: SIGKILL"),
        ({"checks": [FAILED, Check("x", Verdict.LOST, 9, "killed")], "tests_ok": False}, Verdict.LOST, "x: killed"),
        ({"checks": [PASSED, Check("x", Verdict.NOT_RUN, 0)]}, Verdict.FAILED, "x: not_run"),
        ({"tests_ok": False}, Verdict.FAILED, "pytest failed without a failed check"),
        ({"checks": []}, Verdict.FAILED, "no check ran"),
        ({"checks": [SKIPPED]}, Verdict.SKIPPED, "the target does not claim rename"),
        ({"checks": [SKIPPED, Check("y", Verdict.SKIPPED, 0)]}, Verdict.FAILED, "y was skipped without a reason"),
        ({"checks": [SKIPPED], "tests_ok": False}, Verdict.FAILED, "pytest failed"),
    ],
)
def test_stage_is_judged(given: dict[str, Any], verdict: Verdict, reason: str) -> None:
    stage = judge(**given)
    assert (stage.verdict, reason in stage.reason) == (verdict, True), stage
    assert bool(stage.reason) == bool(reason)


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.SKIPPED, Verdict.XFAILED])
def test_nothing_is_passed_by_interruption(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match="interruption"):
        judge(interruption=verdict)


@pytest.mark.parametrize(
    ("verdicts", "selected", "verdict"),
    [
        ("passed passed", "a b", "passed"),
        ("passed passed not_run", "a b", "passed"),
        ("passed not_run", "a b", "not_run"),
        ("passed", "a b", "not_run"),
        ("passed passed", "", "not_run"),
        ("", "a", "not_run"),
        ("", "", "not_run"),
        ("not_run not_run", "a b", "not_run"),
        ("skipped skipped", "a b", "skipped"),
        ("passed skipped", "a b", "skipped"),
        ("passed xfailed", "a b", "skipped"),
        ("skipped failed not_run", "a b c", "failed"),
        ("passed panicked not_run", "a b c", "panicked"),
        ("failed hung", "a b", "failed"),
        ("hung failed", "a b", "hung"),
        ("passed passed lost", "a b", "lost"),
    ],
)
def test_run_is_judged(verdicts: str, selected: str, verdict: str) -> None:
    stages = [Stage(name, Verdict(word)) for name, word in zip("abc", verdicts.split(), strict=False)]
    assert judge_run(stages, selected.split()) == verdict


def test_checks_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "checks.jsonl"
    path.write_text(
        "".join(json.dumps(msgspec.to_builtins(check)) + "\n" for check in (PASSED, FAILED, SKIPPED, KNOWN))
    )
    assert results_file.read_checks(path) == (PASSED, FAILED, SKIPPED, KNOWN)


@pytest.mark.parametrize("tail", [b'{"name": "half', b'{"name": "caf\xc3', b"{"])
def test_line_cut_by_a_kill_is_ignored(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "checks.jsonl"
    path.write_bytes(json.dumps(msgspec.to_builtins(PASSED)).encode() + b"\n" + tail)
    assert results_file.read_checks(path) == (PASSED,)


def test_missing_file_means_no_check(tmp_path: Path) -> None:
    assert results_file.read_checks(tmp_path / "checks.jsonl") == ()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("garbage", "not a check"),
        ("[]", "not a JSON object"),
        ('{"name": "a", "seconds": 1, "message": ""}', "verdict is missing"),
        ('{"name": "a", "verdict": "ok", "seconds": 1, "message": ""}', "verdict is 'ok'"),
        ('{"name": "a", "verdict": "panicked", "seconds": 1, "message": ""}', "verdict"),
        ('{"name": "a", "verdict": "passed", "seconds": "1", "message": ""}', "seconds is '1'"),
        ('{"name": "a", "verdict": "passed", "seconds": NaN, "message": ""}', "seconds"),
        ('{"name": "a", "verdict": "passed", "seconds": 1, "message": "", "x": 1}', "x is unknown"),
    ],
)
def test_garbage_is_an_error_with_its_line(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "checks.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(VexlabError) as caught:
        results_file.read_checks(path)
    assert f"{path}:2" in caught.value.message
    assert named in caught.value.message


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_a_check_blames_while_the_machine_fails_is_no_verdict(verdict: Verdict) -> None:
    """What had passed stays, and what it said is kept."""
    found = judging.without_verdict(Check("x", verdict, 1.5, "names survive"), "the disk is full")
    if verdict in (Verdict.FAILED, *model.DIED):
        assert found == Check("x", Verdict.NOT_RUN, 1.5, "the disk is full; it had said: names survive")
    else:
        assert found == Check("x", verdict, 1.5, "names survive")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reruns": Reruns("mount/a.b", 3, 1), "amounts": Amounts(True, 5, 25, 500, 7), "kernel": "6.12", "suite": "ab"},
        {"contract": Contract(("read-write",), "debug=1", "ro", "rw,x", 2, 2048, 256, ("mount/a.b",), "ab" * 32)},
        {
            "machine": Machine.HARDWARE,
            "device": DeviceRecord("/dev/disk/by-id/x", "S1", 2),
            "guest": None,
            "applied": True,
        },
        {"module": None, "guest": None, "finished": None, "stages": ()},
        {"stages": (Stage("load", Verdict.PASSED, checks=(Check("a", Verdict.PASSED, 1.0, "", "b"),), achieved=True),)},
    ],
)
def test_document_is_valid_and_reads_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = a_run(**changes)
    document = results_file.to_document(run)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert results_file.from_document(document) == run
    results_file.write(tmp_path / "results.json", run)
    assert results_file.read(tmp_path / "results.json") == run
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_schema_is_the_one_of_the_records() -> None:
    assert schema.document() == SCHEMA, "write it anew: python -m vexlab.results.schema >docs/results.schema.json"
    assert SCHEMA["$defs"]["Verdict"]["enum"] == sorted(Verdict)
    with pytest.raises(jsonschema.ValidationError, match="'ports' was unexpected"):
        jsonschema.validate(results_file.to_document(a_run()) | {"ports": 1}, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["schema"], 2, "version 2"),
        (["schema"], True, "version True"),
        (["schema"], None, "version None"),
        (["run"], 5, "run is 5, which is not text"),
        (["verdict"], "fine", "verdict is 'fine', which is none of passed, failed, panicked, hung, lost, skipped"),
        (["stages", 2, "verdict"], "foo", "stages[2].verdict is 'foo', which is none of passed, failed"),
        (["machine"], "cloud", "machine is 'cloud', which is none of vm, hardware"),
        (["stages", 0, "seconds"], -1, "stages[0].seconds is -1, which is not a number >= 0"),
        (["stages", 0, "seconds"], float("inf"), "stages[0].seconds is inf, which is not a number < "),
        (["stages"], {}, "stages is not a list"),
        (["stages", 0, "taint"], True, "stages[0].taint is True, which is not a whole number or null"),
        (["stages", 0, "checks", 1, "seconds"], None, "stages[0].checks[1].seconds"),
        (["stages", 1], "x", "stages[1] is not a JSON object"),
        (["guest", "warm"], 1, "guest.warm"),
        (["guest", "ports"], 1, "guest.ports is unknown"),
        (["module"], [], "module is not"),
        (["evidence", "console"], 1, "evidence.console is 1, which is not text"),
        (["selected", 0], 1, "selected[0]"),
        (["verdict"], "passed", "verdict: says passed"),
        (["stages", 1, "verdict"], "passed", "stages[1].verdict: says passed"),
        (["stages", 2, "verdict"], "passed", "stages[2].verdict: says passed"),
    ],
)
def test_wrong_document_is_refused_by_field(tmp_path: Path, path: list[Any], value: object, named: str) -> None:
    document: Any = results_file.to_document(a_run())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file = tmp_path / "results.json"
    file.write_text(json.dumps(document))
    with pytest.raises(VexlabError) as caught:
        results_file.read(file)
    assert named in caught.value.message
    assert str(file) in caught.value.message


def test_document_of_a_former_version_is_read() -> None:
    """It knows nothing of how the run was made, and must not be taken for one that was complete."""
    document = results_file.to_document(a_run())
    for field in ("reruns", "machine", "device", "kernel", "suite", "applied", "amounts", "contract"):
        del document[field]
    former: Any = document
    for stage in former["stages"]:
        del stage["achieved"]
        for check in stage["checks"]:
            del check["advice"], check["place"]
    assert results_file.from_document(document) == a_run(kernel="6.12.0-amd64")


@pytest.mark.parametrize("name", ["without-contract", "panicked"])
def test_what_a_former_version_wrote_is_read_and_rendered(name: str, tmp_path: Path) -> None:
    run = results_file.read(FORMER / f"{name}.json")
    text = markdown.render_markdown(run)
    junit_file.write_junit(run, tmp_path / "junit.xml", tmp_path)
    assert (run.kernel, run.verdict) == (
        {"without-contract": ("6.12.118+deb13-amd64", "passed"), "panicked": ("6.12.118+deb13-amd64", "panicked")}[name]
    )
    assert run.run in text
    assert (run.contract is None) == (name == "without-contract")


def test_chain_of_a_former_version_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    evidence.chain_file().parent.mkdir(parents=True)
    shutil.copy(FORMER / "chain.jsonl", evidence.chain_file())
    [entry] = evidence.entries()
    assert (entry.verdict, entry.machine, entry.stages, entry.contract) == ("passed", Machine.VM, None, None)


@pytest.mark.parametrize("field", ["run", "selected", "guest"])
def test_missing_field_is_named(field: str) -> None:
    document = results_file.to_document(a_run())
    del document[field]
    with pytest.raises(VexlabError, match=f"^{field} is missing"):
        results_file.from_document(document)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_file_that_is_no_document_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(VexlabError, match=r"results\.json"):
        results_file.read(path)


def test_absent_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(VexlabError, match="No such file"):
        results_file.read(tmp_path / "results.json")


def test_failed_write_leaves_the_old_document(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results_file.write(path, a_run())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        results_file.write(path, a_run(stages=(Stage("build", Verdict.FAILED, float("nan")),)))
    assert path.read_bytes() == before
    with pytest.raises(VexlabError, match="can't be written"):
        results_file.write(tmp_path / "nowhere" / "results.json", a_run())
    with pytest.raises(VexlabError, match="can't be written"):
        results_file.write(tmp_path, a_run())
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_text_that_is_not_utf8_survives_writing(tmp_path: Path) -> None:
    run = a_run(evidence={"odd": "name-\udcff"})
    results_file.write(tmp_path / "results.json", run)
    assert results_file.read(tmp_path / "results.json") == run
