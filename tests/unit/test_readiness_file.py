"""The readiness file: what role vexfs_load and `vexlab gate check` refuse, and the commands around it."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from tests.unit import modules
from tests.unit.gate_evidence import CONTRACT, KERNEL, NOW, STAGES, SUBJECT, a_run, decide, sealed
from vexlab.cli.gate import gate_group
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import hash_chain, readiness_file, run_criteria, sign_offs
from vexlab.gate.decision import Criterion, Decision
from vexlab.results import results_file
from vexlab.results.model import Verdict

ROOT = Path(__file__).parents[2]
WITHOUT_VEXLAB = """
import sys
sys.modules["vexlab"] = None
from ansible_collections.vexfs.vexlab.plugins.modules import readiness
readiness.main()
"""
WANTED = {"sha256": SUBJECT.sha256, "srcversion": SUBJECT.srcversion, "kernel": KERNEL, "level": "device"}
Document = dict[str, Any]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def ready(now: datetime = NOW) -> Path:
    """A file that reaches level device, with what it rests on."""
    shift = (now - NOW).total_seconds()
    moved = datetime.fromisoformat(str(a_run().finished)) + timedelta(seconds=shift)
    sealed(a_run(finished=moved.isoformat()))
    for key in run_criteria.PROTOCOL:
        sign_offs.sign(SUBJECT.sha256, key, "A. Operator", "see the folder", now - timedelta(minutes=30))
    return readiness_file.write(SUBJECT, decide(now=now))


def role_refuses(path: str, **wanted: str) -> str:
    """Why the module refuses, run as a role runs it: with no vexlab to import; empty when it doesn't."""
    asked = {"path": path, "name": "toyfs", "host": "bench1", "input": "vexfs_load_readiness", "parameters": "debug=0"}
    about = asked | WANTED | wanted
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_VEXLAB], input=modules.arguments(about), capture_output=True, text=True,
        check=False, cwd="/",
    )  # fmt: skip
    answer = json.loads(done.stdout)
    if not answer.get("failed"):
        assert (answer["changed"], answer["level"]) == (False, "device")
        return ""
    told = re.fullmatch(
        r"toyfs is not loaded into the kernel of bench1: the readiness file (.+?) is refused: (.*)\. Test the module "
        rf"in a VM first; `vexlab gate --for {about['level']}` says what is missing and writes the file\.",
        answer["msg"],
    )
    assert told, answer["msg"]
    assert told[1] == (path or "(vexfs_load_readiness is not set)")
    return told[2]


def test_good_file_is_accepted_everywhere() -> None:
    path = ready(datetime.now(UTC))
    assert role_refuses(str(path)) == ""
    assert readiness_file.refusals(path, WANTED, datetime.now(UTC)) == []


def test_what_was_tested_may_be_used_and_unasked_options_are_not_looked_at() -> None:
    path = ready(datetime.now(UTC))
    assert role_refuses(str(path), parameters=" debug=0 ", options_ro="ro", options_rw="rw") == ""
    assert role_refuses(str(path), parameters="debug=0", options_ro="", options_rw="") == ""


def test_first_lines_say_what_was_not_claimed() -> None:
    sealed(a_run(contract=replace(CONTRACT, claims=("read-write", "persistent"))))
    lines = readiness_file.write(SUBJECT, decide()).read_text().splitlines()
    assert [line.strip() for line in lines[1:5]] == [
        '"schema": 2,',
        '"level": "vm",',
        '"not_claimed": [',
        '"directories",',
    ]


def test_file_is_as_its_schema_says() -> None:
    schema = json.loads((ROOT / "docs/readiness.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(ready().read_text())
    jsonschema.validate(document, schema)
    assert set(document) == set(schema["required"]) == set(schema["properties"])
    assert document["level"] == "device"


def edited(change: Callable[[Document], None], *, hashed: bool = False) -> Callable[[Path], None]:
    """An edit of the file, by somebody who also computes the hash anew or doesn't."""

    def act(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        if hashed:
            document["sha256"] = hash_chain.content_hash(document)
        path.write_text(json.dumps(document))

    return act


def all_met(document: Document) -> None:
    document["level"] = "production"


def unsigned(document: Document) -> None:
    document["level"] = "vm"
    backup = next(each for each in document["criteria"] if each["key"] == "backup")
    backup.update(met=False, why="nobody signed")


def for_a_century(document: Document) -> None:
    """What --max-age once made: old evidence that holds until another century."""
    made = datetime.now(UTC) - timedelta(days=31)
    document["valid_until"] = (made + timedelta(days=36500)).isoformat()
    document["sources"][0]["made"] = made.isoformat()


REFUSED: list[tuple[Callable[[Path], object], dict[str, str], str]] = [
    (lambda path: None, {"sha256": "ef" * 32}, "it is about another module, with the sha256"),
    (lambda path: None, {"srcversion": "FFFF"}, "it is about another module, with the srcversion"),
    (lambda path: None, {"kernel": "6.1.0-amd64"}, f"it is about another kernel, {KERNEL}; this one is 6.1.0-amd64"),
    (lambda path: None, {"level": "production"}, "it reaches level device, and production is needed; not met: phase-1"),
    (edited(unsigned, hashed=True), {}, "it reaches level vm, and device is needed; not met: backup (nobody signed)"),
    (Path.unlink, {}, "it can't be read: No such file"),
    (lambda path: path.write_text("{"), {}, "it is not JSON"),
    (lambda path: path.write_bytes(b"\xff"), {}, "it is not JSON"),
    (lambda path: path.write_text("[]"), {}, "it is no readiness file"),
    (
        edited(lambda d: d.update(schema=1), hashed=True),
        {},
        "it is no readiness file of version 2; vexlab gate writes one",
    ),
    (edited(all_met), {}, "it was edited"),
    (edited(lambda d: d.update(valid_until="2099-01-01T00:00:00+00:00")), {}, "it was edited"),
    (edited(lambda d: d["criteria"][0].update(why="because")), {}, "it was edited"),
    (edited(lambda d: d.pop("sha256")), {}, "it was edited"),
    (edited(all_met, hashed=True), {}, "it says level production, and its criteria bear out device"),
    (edited(lambda d: d.update(criteria=[]), hashed=True), {}, "bear out none"),
    (edited(lambda d: d["criteria"][0].update(met=1), hashed=True), {}, "it reaches level none"),
    (edited(lambda d: d["criteria"][0].pop("met"), hashed=True), {}, "it is no readiness file"),
    (edited(lambda d: d.pop("module"), hashed=True), {}, "it is no readiness file"),
    (edited(lambda d: d.update(made="yesterday"), hashed=True), {}, "it is no readiness file"),
    (edited(lambda d: d.update(sources=[1]), hashed=True), {}, "it is no readiness file"),
    (edited(lambda d: d.update(made="2099-01-01T00:00:00+00:00"), hashed=True), {}, "is from the future"),
    (edited(lambda d: d["sources"][1].update(made="2099-01-01T00:00:00+00:00"), hashed=True), {}, "is from the future"),
    (edited(for_a_century, hashed=True), {}, "it rests on run-1, which is older than 30 days"),
    (edited(lambda d: d.update(sources=[]), hashed=True), {}, "it names no run and no statement that it rests on"),
    (edited(lambda d: d.pop("contract"), hashed=True), {}, "it is no readiness file"),
    (edited(lambda d: d.update(contract={}), hashed=True), {}, "it is no readiness file"),
    (lambda path: None, {"parameters": "debug=1"}, "tested with the module parameters 'debug=0', not with 'debug=1'"),
    (lambda path: None, {"parameters": ""}, "tested with the module parameters 'debug=0', not with ''"),
    (lambda path: None, {"options_ro": "ro,x"}, "mounted read-only with the options 'ro' when tested, not with 'ro,x'"),
    (
        lambda path: None,
        {"options_rw": "rw,dax"},
        "mounted read-write with the options 'rw' when tested, not with 'rw,",
    ),
    (edited(lambda d: d.update(valid_until="2020-01-01T00:00:00+00:00"), hashed=True), {}, "it is too old"),
]


@pytest.mark.parametrize(("act", "wanted", "why"), REFUSED)
def test_bad_file_is_refused_by_the_role_and_by_check(
    act: Callable[[Path], object], wanted: dict[str, str], why: str
) -> None:
    now = datetime.now(UTC)
    path = ready(now)
    act(path)
    assert why in role_refuses(str(path), **wanted)
    assert why in "; ".join(readiness_file.refusals(path, WANTED | wanted, now))


def test_what_is_not_needed_is_not_named() -> None:
    path = ready(datetime.now(UTC))
    edited(unsigned, hashed=True)(path)
    said = "it reaches level vm, and device is needed; not met: backup (nobody signed)"
    assert role_refuses(str(path)) == said


def test_role_refuses_when_there_is_none() -> None:
    assert role_refuses("") == "there is none"


def test_file_of_a_run_that_was_interrupted_reaches_nothing() -> None:
    sealed(a_run(verdicts=dict.fromkeys(STAGES[4:], Verdict.NOT_RUN)))
    path = readiness_file.write(SUBJECT, decide())
    refusals = readiness_file.refusals(path, WANTED, NOW)
    assert any("level none" in said and "it was interrupted" in said for said in refusals)


def test_file_made_by_nobody_is_found_out_where_the_evidence_is() -> None:
    """Hashes can be computed by anybody; the evidence that they stand for has to be there as well."""
    path = ready()
    edited(lambda d: d["sources"][0].update(sha256="00" * 32), hashed=True)(path)
    assert "run-1 was sealed with another content" in "; ".join(readiness_file.refusals(path, WANTED, NOW))
    path = readiness_file.write(SUBJECT, decide())
    edited(lambda d: d["sources"][1].update(sha256="00" * 32), hashed=True)(path)
    assert "is not the one that was signed here" in "; ".join(readiness_file.refusals(path, WANTED, NOW))


def test_evidence_that_was_touched_afterwards_takes_the_file_with_it(tmp_path: Path) -> None:
    path = ready()
    log = tmp_path / "state/vexlab/runs/run-1/console.log"
    log.write_text("nothing to see here")
    assert "run-1 is not as it was: console.log was edited" in "; ".join(readiness_file.refusals(path, WANTED, NOW))


def test_file_holds_where_the_evidence_is_not_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ready()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert readiness_file.refusals(path, WANTED, NOW) == []


# ---------------------------------------------------------------- the commands


def gate(*arguments: str) -> tuple[int, str]:
    """Exit code, and what a person reads."""
    done = CliRunner().invoke(gate_group, arguments)
    if isinstance(done.exception, VexlabError):
        return done.exception.exit_code, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_gate_ends_with_0_or_1_and_writes_the_file_each_time() -> None:
    run = sealed(a_run(finished=datetime.now(UTC).isoformat()))
    code, said = gate("--run", run.name)
    assert (code, said.splitlines()[-1].startswith("level vm; readiness file: ")) == (0, True)
    code, said = gate("--run", run.name, "--for", "device")
    assert code == 1
    assert "checklist: nobody signed for it" in said
    assert "not met: checklist, emergency, device, backup, monitoring" in said
    for key in run_criteria.PROTOCOL:
        assert gate("sign", key, "--operator", "A", "--note", "b", "--run", run.name)[0] == 0
    code, said = gate("--run", run.name, "--for", "device", "--json")
    assert (code, json.loads(said)["level"]) == (0, "device")
    file = sign_offs.directory(SUBJECT.sha256) / "readiness.json"
    assert gate("check", str(file), "--for", "device")[0] == 0
    assert gate("check", str(file), "--for", "production")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("excuse", "never", "--operator", "A", "--note", "b"), "no run 'never' was sealed"),
        (("excuse", "whole", "--operator", "A", "--note", "b"), "run whole needs no excuse: nothing went wrong in it"),
        (("excuse", "cut", "--operator", "A", "--note", "b"), "run cut needs no excuse: it is about no module"),
        (("--run", "never"), "there is no run 'never'"),
        (("--name", "nobody"), "there is no run of lab nobody"),
        (("--run", "cut"), "run cut was interrupted before its module was known"),
        (("--module", "/nowhere.ko"), "is no kernel module"),
        (("--module", __file__), "is no kernel module"),
        (("--module", "/bin/true"), "is no kernel module"),
        (("--module", "x.ko", "--run", "cut"), "name two modules"),
        (("--name", "x", "sign", "backup", "--operator", "A", "--note", "b"), "the options stand before sign"),
        (("sign", "tests", "--operator", "A", "--note", "b", "--run", "whole"), "can't be signed"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(arguments: tuple[str, ...], why: str) -> None:
    sealed(a_run("cut", dict.fromkeys(STAGES, Verdict.NOT_RUN), module=None))
    sealed(a_run("whole"))
    code, said = gate(*arguments)
    assert code == UsageProblem.default_exit_code
    assert why in said


def test_run_is_excused_by_its_name() -> None:
    sealed(a_run("died", {"mount": Verdict.HUNG}, finished=(datetime.now(UTC) - timedelta(hours=2)).isoformat()))
    run = sealed(a_run(finished=datetime.now(UTC).isoformat()))
    code, said = gate("--run", run.name)
    assert code == 1
    assert "mount hung; vexlab gate excuse died, if the module is not to blame" in said
    assert gate("excuse", "died", "--operator", " ", "--note", "b")[0] == UsageProblem.default_exit_code
    assert gate("excuse", "died", "--operator", "A", "--note", "the host was suspended")[0] == 0
    assert gate("--run", run.name)[0] == 0


def test_age_beyond_the_limit_is_refused() -> None:
    """click says it itself, with the range."""
    done = CliRunner().invoke(gate_group, ("--max-age", "36500"))
    assert done.exit_code == UsageProblem.default_exit_code
    assert "is not in the range 1<=x<=30" in done.output


def test_run_that_was_killed_is_refused(state: Path) -> None:
    """It has results, written while it went on, and no end."""
    directory = state / "state/vexlab/runs/killed"
    directory.mkdir(parents=True)
    results_file.write(directory / "results.json", a_run("killed", finished=None))
    code, said = gate("--run", "killed")
    assert code == 1
    assert "killed was never sealed: it was killed before its end" in said


def test_unmet_of_a_level_leaves_out_what_is_above_it() -> None:
    found = (Criterion("a", "vm", "", True, ""), Criterion("b", "device", "", False, ""))
    decision = Decision("vm", found, (), NOW, NOW)
    assert decision.unmet("vm") == []
    assert decision.unmet("device") == decision.unmet("production") == [found[1]]
    assert dataclasses.replace(decision, criteria=()).unmet("production") == []
