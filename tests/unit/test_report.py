"""What people and CI read of a run: complete, unbroken by what checks print, and never rosier than the verdicts."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from msgspec.structs import replace

from tests.unit.example_runs import ALL_PASSED, NASTY, a_run, cut_short, with_known_failure, with_last
from vexlab.config import target
from vexlab.config.check_names import RENEWED
from vexlab.gate import run_criteria
from vexlab.report import markdown
from vexlab.report import text as text_of
from vexlab.results import results_file
from vexlab.results.judging import judge_run
from vexlab.results.model import Check, Contract, Run, Stage, Verdict, advice, renewed

ROOT = Path(__file__).parents[2]


def section(text: str, heading: str) -> str:
    found = re.search(rf"^#+ {re.escape(heading)}.*?\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"no section {heading}"
    return found[1]


FIVE_PASSED = a_run(dict.fromkeys(list(run_criteria.CATEGORIES)[:5], Verdict.PASSED))


def test_first_lines_say_what_was_not_claimed() -> None:
    """A target that claims little passes easily."""
    contract = Contract(("read-write", "persistent"), "", "ro", "rw", 2, 2048, 256, (), "ab" * 32)
    some = markdown.render_markdown(replace(ALL_PASSED, contract=contract)).splitlines()[:8]
    assert any(line.startswith("- **Not claimed, so not tested**: directories, rename, ") for line in some)
    whole = replace(contract, claims=tuple(target.capabilities()))
    text = markdown.render_markdown(replace(ALL_PASSED, contract=whole))
    assert "- **Not claimed, so not tested**: nothing\n" in text
    assert "**Not claimed, so not tested**: not known: an earlier vexlab" in markdown.render_markdown(ALL_PASSED)


def test_run_that_was_interrupted_says_where() -> None:
    """Though checks of that stage had failed by then: a stage that didn't end has no verdict."""
    checks = (Check("files.small", Verdict.FAILED, 1.0, "gone"), Check("files.big", Verdict.NOT_RUN, 0.0))
    cut = Stage("mount", Verdict.NOT_RUN, 9.0, "interrupted", checks)
    text = markdown.render_markdown(a_run({}, stages=(cut,), selected=("mount", "stress"), verdict=Verdict.NOT_RUN))
    assert "stage mount did not end: interrupted; not every selected stage passed: mount, stress" in text


def test_report_has_the_shape_of_the_seed() -> None:
    text = markdown.render_markdown(with_last(Verdict.FAILED))
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings == [
        "Current Status: FAILED", "Completed Stages", "VM Test Execution", "Failures", "Risk Assessment", "Next Steps",
        "Production Readiness Criteria", "Evidence",
    ]  # fmt: skip
    for fact in (
        "2048 MB",
        "2 virtual cores",
        "127.0.0.1:2223",
        "tcg",
        "/mnt/vexfs_source",
        "2026-11-22",
        "3 min 20 s",
    ):
        assert fact in text
    assert "| stress | failed | 1 | 1 | 0 | 1 | 0 | 3.0 |" in text
    assert "ab" * 32 in text
    assert "`console.log`" in section(text, "Evidence")


def test_categories_are_those_of_the_seed_in_order() -> None:
    rows = section(markdown.render_markdown(FIVE_PASSED), "Test categories")
    titles = re.findall(r"^\d\. \*\*(.*?)\*\*: (passed|not run)", rows, re.M)
    assert titles == [
        ("Repository Structure", "passed"), ("Build System", "passed"), ("Module Loading", "passed"),
        ("Filesystem Creation", "passed"), ("Mount Operations", "passed"), ("Stress Testing", "not run"),
        ("Error Handling", "not run"),
    ]  # fmt: skip


def test_titles_agree_with_the_stage_list() -> None:
    for known in yaml.safe_load((ROOT / "playbooks/vars/stages.yml").read_text())["stages"]:
        assert run_criteria.CATEGORIES[known["name"]].title.lower() == known["title"].lower()


def test_stage_of_no_category_is_shown_too() -> None:
    text = markdown.render_markdown(a_run({"powercut": Verdict.PASSED}))
    assert "1. **Powercut**: passed" in text


def test_failure_names_cause_evidence_and_next_command() -> None:
    failures = section(markdown.render_markdown(with_last(Verdict.FAILED)), "Stage stress: failed")
    assert "**First cause**: stress.three: it broke" in failures
    assert "`stages/stress/kernel.log`" in failures
    assert "**Next command**: `vexlab " in failures


def test_known_failure_is_shown_with_its_reason(tmp_path: Path) -> None:
    """It spoils no verdict, and is hidden from nobody."""
    text = markdown.render_markdown(with_known_failure())
    assert "| mount | rename.three | issue 7 |" in section(text, "Known failures")
    assert "| mount | passed | 1 | 0 | 1 | 1 | 0 | 3.0 |" in text
    assert "Known failures" not in markdown.render_markdown(ALL_PASSED)


def test_advice_is_shown_and_changes_nothing() -> None:
    told = Check("build.alias", Verdict.PASSED, 0.5, "", "the module has no alias fs-toy")
    stages = [replace(s, checks=(*s.checks, told)) if s.name == "build" else s for s in ALL_PASSED.stages]
    run = replace(ALL_PASSED, stages=tuple(stages))
    text = markdown.render_markdown(run)
    assert "| build | build.alias | the module has no alias fs-toy |" in section(text, "Advice")
    assert judge_run(run.stages, run.selected) is Verdict.PASSED
    assert "### Current Risk Level: LOW\n" in text
    assert "### Advice" not in markdown.render_markdown(ALL_PASSED)


def test_fresh_filesystem_is_no_advice() -> None:
    """Of a filesystem with a hundred failures there would be as many lines that nobody can act on."""
    told = Check("rename.a", Verdict.PASSED, 0.5, "", f"{RENEWED}rename.b failed on the one before")
    both = Check("rename.c", Verdict.PASSED, 0.5, "", f"{RENEWED}rename.a left it full; names have 31 bytes at most")
    stages = [replace(s, checks=(*s.checks, told, both)) if s.name == "mount" else s for s in ALL_PASSED.stages]
    run = replace(ALL_PASSED, stages=tuple(stages))
    assert [(check.name, check.advice) for _, check in advice(run)] == [("rename.c", "names have 31 bytes at most")]
    assert renewed(run) == 2


def test_known_failure_is_no_readiness() -> None:
    """What fails on a disk doesn't care whether somebody had expected it."""
    run = with_known_failure()
    text = markdown.render_markdown(run)
    assert "### Current Risk Level: MEDIUM\n" in text
    assert "mount/rename.three" in section(text, "Current Risk Level: MEDIUM")
    assert "**Mount Operations**: passed (1 known to fail)" in text
    assert "Do NOT proceed to production testing" in text
    ticked = [name for name, mark in boxes(run).items() if mark]
    assert ticked == [
        "Clean module load/unload cycles",
        "Error handling validates properly",
        "Stress tests complete successfully",
    ]


def test_report_names_what_was_not_run() -> None:
    text = markdown.render_markdown(cut_short())
    rows = section(text, "Not run").splitlines()
    assert "- **load**: it was not selected" in rows
    assert "| load |" not in section(text, "Completed Stages")
    assert "- **stress**: it needs stage mkfs, whose verdict is failed" in rows
    [row] = [row for row in rows if row.startswith("- **mount**")]
    assert row.startswith("- **mount**: 58 of its 60 checks were not reached: `files.number_0`, `files.number_1`,")
    assert row.endswith("`files.number_39` and 18 more, which are in results.json")
    assert "| mount | panicked | 1 | 1 | 0 | 0 | 58 | 9.0 |" in text
    assert "**First cause**: Oops; deterministic (2 of 2)" in text
    assert "files.number_0" not in section(text, "Stage mount: panicked")
    assert "### Current Risk Level: HIGH\n" in text
    assert not any(mark for name, mark in boxes(cut_short()).items() if not name.startswith("Error handling"))


def test_nothing_is_said_of_what_was_not_run_when_all_was() -> None:
    assert "### Not run" not in markdown.render_markdown(ALL_PASSED)
    assert "- **errors**: the run ended before it" in markdown.render_markdown(with_last(Verdict.FAILED))


def test_death_points_at_the_console() -> None:
    failures = section(markdown.render_markdown(with_last(Verdict.PANICKED)), "Stage stress: panicked")
    assert "`console.log`" in failures
    assert "`vexlab logs console --run 20261122-090000-ab12`" in failures


@pytest.mark.parametrize(
    ("run", "command"),
    [
        (with_last(Verdict.FAILED), "vexlab logs kernel"),
        (a_run({"build": Verdict.FAILED}, evidence={"build": "build.log"}), "vexlab logs build"),
        (a_run({}, stages=(Stage("load", Verdict.FAILED, 1.0, "insmod: no"),)), "vexlab logs ansible"),
    ],
)
def test_next_command_shows_the_log_that_knows(run: Run, command: str) -> None:
    text = markdown.render_markdown(run, " --name other")
    assert f"**Next command**: `{command} --run {run.run}`" in text  # of this run, whatever its lab does meanwhile
    assert "`vexlab test --name other`" in text


@pytest.mark.parametrize(
    ("run", "level"),
    [
        (ALL_PASSED, "LOW"),
        (FIVE_PASSED, "MEDIUM"),
        (with_last(Verdict.SKIPPED), "UNKNOWN"),
        (with_last(Verdict.NOT_RUN), "UNKNOWN"),
        *((with_last(verdict), "HIGH") for verdict in (Verdict.FAILED, Verdict.PANICKED, Verdict.HUNG, Verdict.LOST)),
        (replace(a_run({"structure": Verdict.FAILED}), module=None), "UNKNOWN"),
        (replace(a_run({"build": Verdict.HUNG}), module=None), "HIGH"),
        (a_run({}), "UNKNOWN"),
    ],
)
def test_risk_is_low_only_when_everything_passed(run: Run, level: str) -> None:
    assert f"### Current Risk Level: {level}\n" in markdown.render_markdown(run)


def boxes(run: Run) -> dict[str, bool]:
    found = re.findall(r"^- \[([ x])\] ([^:]+):", markdown.render_markdown(run), re.M)
    return {text: mark == "x" for mark, text in found}


def test_boxes_are_ticked_by_evidence_only() -> None:
    assert [text for text, ticked in boxes(ALL_PASSED).items() if not ticked] == list(run_criteria.PROTOCOL.values())
    assert [text for text, ticked in boxes(FIVE_PASSED).items() if ticked] == [
        "No kernel panics or system crashes",
        "Filesystem operations work correctly",
    ]
    assert not any(boxes(a_run({})).values())
    assert not any(boxes(a_run({"structure": Verdict.PASSED, "build": Verdict.PASSED})).values())


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASSED])
@pytest.mark.parametrize("name", list(run_criteria.CATEGORIES))
def test_no_stage_that_did_not_pass_leaves_its_box_ticked(name: str, verdict: Verdict) -> None:
    run = a_run(dict.fromkeys(run_criteria.CATEGORIES, Verdict.PASSED) | {name: verdict})
    ticked = {text for text, mark in boxes(run).items() if mark}
    assert "All VM tests pass without errors" not in ticked
    about = {"load": "Clean module", "mkfs": "Filesystem", "mount": "Filesystem", "stress": "Stress", "errors": "Error"}
    assert not any(text.startswith(about.get(name, "All VM")) for text in ticked)
    if verdict not in (Verdict.SKIPPED, Verdict.NOT_RUN):
        assert "No kernel panics or system crashes" not in ticked


def test_no_crash_needs_the_kernels_log() -> None:
    stages = (*ALL_PASSED.stages[:-1], replace(ALL_PASSED.stages[-1], kernel_log=None))
    assert not boxes(replace(ALL_PASSED, stages=stages))["No kernel panics or system crashes"]


def test_never_ready_for_production() -> None:
    for verdict, finished in itertools.product(Verdict, (None, "2026-11-22T09:03:20+01:00")):
        text = markdown.render_markdown(replace(with_last(verdict), finished=finished)).lower()
        assert "ready for production" not in text
        assert "production ready" not in text
        if verdict is not Verdict.PASSED:
            assert "do not proceed to production testing" in text
            assert "none was seen." not in text
        assert ("status: in progress" in text) == (finished is None)


@pytest.mark.parametrize("run", [a_run({}, module=None, guest=None, evidence={}, started="then", finished="now")])
def test_empty_run_is_reported(run: Run) -> None:
    text = markdown.render_markdown(run)
    assert "## Current Status: NOT RUN" in text
    assert "No guest was reached" in text
    assert "No module was built" in text


def test_text_from_outside_breaks_no_markdown() -> None:
    checks = (Check(NASTY, Verdict.FAILED, 1.0, NASTY), Check("b", Verdict.SKIPPED, 0.0, NASTY))
    bad = Stage("build", Verdict.FAILED, 1.0, NASTY, checks, NASTY, None)
    run = a_run({}, stages=(bad,), selected=("build",), verdict=Verdict.FAILED, evidence={NASTY: NASTY}, target=NASTY)
    text = markdown.render_markdown(run)
    outside, inside = [], ""
    for line in text.splitlines():
        ticks = re.match(r"`{3,}", line)
        if inside and line == inside:
            inside = ""
        elif not inside and ticks:
            inside = ticks[0]
        elif not inside:
            outside.append(line)
    assert not inside
    assert not [line for line in outside if line.startswith(("# no heading", "- [x] no box", "second"))]
    for line in outside:
        if line.startswith("|") and "first" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 6, 7), line
        assert not re.search(r"(?<!\\)<b>", re.sub(r"(`+).*?\1", "", line)), line
    assert not re.search(r"[\x00-\x08\x1b\ud800-\udfff]", text)


def test_long_message_is_cut_and_says_so() -> None:
    text = text_of.fence("\n".join(f"line {number}" for number in range(100)))
    assert len(text.splitlines()) == 43
    assert "60 more lines are in results.json" in text


@pytest.mark.parametrize(("text", "span"), [("a", "`a`"), ("`a`", "`` `a` ``"), ("", "-"), ("a|b", "`a\\|b`")])
def test_code_span(text: str, span: str) -> None:
    assert text_of.code(text) == span


def test_json_is_the_document() -> None:
    document = json.loads(markdown.render_json(ALL_PASSED))
    jsonschema.validate(document, json.loads((ROOT / "docs/results.schema.json").read_text()))
    assert results_file.from_document(document) == ALL_PASSED
