"""The gate: nothing is ready unless complete, whole, recent evidence about this very module says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.gate_evidence import (
    CONTRACT,
    KERNEL,
    MODULE,
    NO_BUILD,
    NO_DEVICE,
    NOW,
    STAGES,
    SUBJECT,
    USUAL,
    a_phase,
    a_run,
    ago,
    criterion,
    decide,
    of_another_kind,
    sealed,
    unmet,
)
from vexlab.cli.gate import find_subject
from vexlab.config import stage_list, user_directories
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import evidence, hash_chain, promotion, run_criteria, sign_offs
from vexlab.gate.decision import LEVELS, OLDEST_DAYS, TEXTS, Refused
from vexlab.report import markdown
from vexlab.results import results_file
from vexlab.results.model import Check, DeviceRecord, Run, Stage, Verdict

PHASES = ["phase-1", "phase-2", "phase-3"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def sign_all(sha256: str = SUBJECT.sha256) -> None:
    for key in run_criteria.PROTOCOL:
        sign_offs.sign(sha256, key, "A. Operator", "see the folder", NOW - timedelta(minutes=30))


# ---------------------------------------------------------------- levels


def test_nothing_is_ready_without_evidence() -> None:
    decision = decide()
    assert decision.level == "none"
    assert unmet(decision) == list(TEXTS)
    assert "no run is about the module" in criterion(decision, "evidence").why
    assert decision.valid_until == NOW


def test_levels_are_reached_one_after_the_other() -> None:
    sealed(a_run())
    decision = decide()
    assert (decision.level, unmet(decision)) == ("vm", [*run_criteria.PROTOCOL, *PHASES])
    sign_all()
    assert (decide().level, unmet(decide())) == ("device", PHASES)
    for number, hours in ((1, 0.9), (2, 0.6), (3, 0.3)):
        sealed(a_phase(number, hours))
    assert (decide().level, unmet(decide())) == ("production", [])


def test_signatures_alone_are_no_level() -> None:
    sign_all()
    for number, hours in ((1, 0.9), (2, 0.6), (3, 0.3)):
        sealed(a_phase(number, hours))
    assert decide().level == "none"


def test_it_holds_until_the_oldest_source_is_too_old() -> None:
    sealed(a_run())
    assert decide(max_age_days=3).valid_until == NOW - timedelta(hours=1) + timedelta(days=3)
    assert [source.what for source in decide().sources] == ["run-1"]


# ---------------------------------------------------------------- which run counts


SOME_OF_IT = replace(a_run().stages[-1], left_out=12)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (a_run(suite="00" * 32), "of another version"),
        (a_run(suite="", contract=None), "an earlier vexlab made it, which didn't seal what it demanded"),
        (a_run(kernel="6.1.0-amd64"), "it ran on kernel 6.1.0-amd64"),
        (a_run(module=replace(MODULE, srcversion="FFFF")), "the srcversion of its module is another"),
        (a_run(module=replace(MODULE, sha256="ef" * 32)), "no run is about the module"),
        (a_run(finished=ago(hours=-1)), "it is from the future"),
        (a_run(finished=ago(days=8)), "it is too old"),
        (a_run(amounts=replace(USUAL, quick=True)), "it was made with --quick"),
        (a_run(amounts=replace(USUAL, load_cycles=19)), "load cycles 19, not 20"),
        (a_run(amounts=replace(USUAL, churn_operations=1)), "churn operations 1, not 2000"),
        (a_run(amounts=None), "it doesn't say how much it did"),
        (a_run(contract=replace(CONTRACT, debug="slab")), "its kernel looked harder than a machine's does"),
        (a_run(applied=False), "it only judged what was there"),
        (a_run(selected=tuple(STAGES[:5])), "stages were left out: stress, errors"),
        (a_run(verdicts=dict.fromkeys(STAGES[4:], Verdict.NOT_RUN)), "it was interrupted"),
        (a_run(stages=(*a_run().stages[:-1], SOME_OF_IT)), "checks were left out: 12 checks of stage errors"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_run_that_does_not_count(run: Run, why: str) -> None:
    sealed(run)
    decision = decide()
    assert decision.level == "none"
    assert why in criterion(decision, "evidence").why
    assert unmet(decision)[:8] == ["evidence", "claims-vm", *run_criteria.MUST_PASS]
    assert decision.sources == ()


def test_age_and_clocks_have_their_limits() -> None:
    sealed(a_run(finished=ago(days=6.9)))
    assert decide().level == "vm"
    assert decide(max_age_days=6).level == "none"
    sealed(a_run("ahead", finished=ago(seconds=-200)))
    assert decide().sources[0].what == "ahead"


def test_interrupted_run_takes_nothing_from_an_earlier_pass() -> None:
    sealed(a_run())
    sealed(a_run("later", dict.fromkeys(STAGES[3:], Verdict.NOT_RUN), finished=ago(minutes=5)))
    assert decide().level == "vm"
    asked = decide(only="later")
    assert "later doesn't count: it was interrupted" in criterion(asked, "evidence").why


def test_interrupted_run_hides_no_check_that_had_failed() -> None:
    """Who saw it fail and ended the run before its stage was over would have a pass."""
    sealed(a_run())
    cut = a_run("later", dict.fromkeys(STAGES[5:], Verdict.NOT_RUN), finished=ago(minutes=5))
    checks = (Check("breaks", Verdict.FAILED, 1.0, "it broke"), Check("comes_next", Verdict.NOT_RUN, 0.0))
    stages = [*cut.stages[:5], Stage(STAGES[5], Verdict.NOT_RUN, 2.0, "interrupted", checks), *cut.stages[6:]]
    sealed(replace(cut, stages=tuple(stages)))
    decision = decide()
    assert decision.level == "none"
    assert "later, a run of the same module, went wrong: stress failed" in criterion(decision, "tests").why
    assert evidence.problem(evidence.entries()[-1]) == ""
    sealed(a_run("again", finished=ago(minutes=1)))
    assert decide().level == "vm"


def test_run_that_was_killed_is_never_sealed() -> None:
    decision = decide(only="killed")
    assert "killed was never sealed" in criterion(decision, "evidence").why


# ---------------------------------------------------------------- what it shows


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.PANICKED, Verdict.HUNG, Verdict.LOST])
@pytest.mark.parametrize("name", STAGES)
def test_newest_complete_run_decides(name: str, verdict: Verdict) -> None:
    """A pass before it is of no use: nothing is retried until it is green."""
    sealed(a_run())
    sealed(a_run("later", {name: verdict}, finished=ago(minutes=5)))
    decision = decide()
    assert decision.level == "none"
    assert criterion(decision, "evidence").met
    assert verdict in criterion(decision, "tests").why
    assert not criterion(decision, "crashes").met


def test_known_failures_are_not_met() -> None:
    expected = a_run().stages[4].checks[0]
    expected = replace(expected, name="known", verdict=Verdict.XFAILED, message="issue 7")
    stages = [replace(s, checks=(*s.checks, expected)) if s.name == "mount" else s for s in a_run().stages]
    sealed(a_run(stages=tuple(stages)))
    assert unmet(decide())[:3] == ["tests", "crashes", "operations"]


def test_later_partial_run_that_went_wrong_counts_against_it() -> None:
    sealed(a_run())
    quick = replace(USUAL, quick=True)
    sealed(a_run("later", {"errors": Verdict.FAILED}, finished=ago(minutes=5), amounts=quick))
    decision = decide()
    assert "later, a run of the same module, went wrong: errors failed" in criterion(decision, "tests").why
    assert decision.level == "none"


def test_pass_after_a_failure_counts() -> None:
    sealed(a_run("before", {"mount": Verdict.FAILED}, finished=ago(hours=3)))
    sealed(a_run())
    assert decide().level == "vm"


# ---------------------------------------------------------------- what other runs say against it

LESS = replace(CONTRACT, claims=())
ELSEWHERE = {
    "suite": "00" * 32,
    "kernel": "6.1.0-amd64",
    "contract": LESS,
    "amounts": replace(USUAL, quick=True),
}


@pytest.mark.parametrize("changes", [{}, ELSEWHERE, {"contract": None, "suite": "", "amounts": None}], ids=len)
@pytest.mark.parametrize("verdict", [Verdict.PANICKED, Verdict.HUNG, Verdict.LOST])
@pytest.mark.parametrize("before", [{}, {"load": Verdict.FAILED}], ids=len)
def test_death_is_outdone_by_no_pass(before: dict[str, Verdict], verdict: Verdict, changes: dict[str, Any]) -> None:
    """Behind a failed stage, after an edit of the suite, on another kernel, long ago: the module is the same."""
    died = sealed(a_run("died", before | {"mount": verdict}, finished=ago(days=400), **changes))
    shutil.rmtree(died)  # its directory may go, what is known of it stays
    sealed(a_run())
    assert unmet(decide())[0] == "crashes"
    assert f"mount {verdict}; vexlab gate excuse died" in criterion(decide(), "crashes").why


def before_stages_were_sealed(record: dict[str, Any]) -> dict[str, Any]:
    """A line of the chain as an earlier vexlab wrote it."""
    old = {name: value for name, value in record.items() if name not in ("stages", "contract", "amounts")}
    return old | {"sha256": hash_chain.content_hash(old)}


def test_chain_of_an_earlier_version_is_read() -> None:
    """Its runs count for nothing, and what died in them still counts against the module: the results tell."""
    sealed(
        a_run(
            "died", {"load": Verdict.FAILED, "mount": Verdict.PANICKED}, finished=ago(days=2), contract=None, suite=""
        )
    )
    [record] = hash_chain.read(evidence.chain_file())
    evidence.chain_file().write_text(json.dumps(before_stages_were_sealed(record)) + "\n")
    assert "didn't seal what it demanded" in criterion(decide(), "evidence").why
    sealed(a_run())
    assert "died, a run of the same module, went wrong: mount panicked" in criterion(decide(), "crashes").why
    shutil.rmtree(user_directories.runs_directory() / "died")
    assert "died, a run of the same module, went wrong: the run failed" in criterion(decide(), "tests").why


def test_death_is_signed_off_by_name_and_for_as_long_as_evidence_lasts() -> None:
    sealed(a_run("died", {"mount": Verdict.PANICKED}, finished=ago(hours=3)))
    sealed(a_run())
    sign_offs.excuse(SUBJECT.sha256, "died", "A. Operator", "sysrq was pressed, see ticket 3", NOW - timedelta(hours=2))
    decision = decide()
    assert decision.level == "vm"
    assert "mount panicked; signed by A. Operator on" in criterion(decision, "crashes").why
    assert "sysrq was pressed, see ticket 3" in criterion(decision, "crashes").why
    assert [source.what for source in decision.sources] == ["run-1", "statement on run died"]
    late = decide(now=NOW + timedelta(days=6, hours=22.5))
    assert "signed by A. Operator, but it is too old" in criterion(late, "crashes").why
    assert late.level == "none"


def test_what_went_wrong_after_the_pass_is_excused_by_nobody() -> None:
    sealed(a_run())
    sealed(a_run("died", {"mount": Verdict.PANICKED}, finished=ago(minutes=30), selected=tuple(STAGES[:5])))
    sign_offs.excuse(SUBJECT.sha256, "died", "A. Operator", "sysrq was pressed", NOW - timedelta(minutes=20))
    assert unmet(decide())[0] == "tests"
    assert criterion(decide(), "crashes").met
    sealed(a_run("again", finished=ago(minutes=5)))
    assert decide().level == "vm"


@pytest.mark.parametrize(
    ("demanded", "why"),
    [
        ({"contract": LESS}, "it didn't claim read-write, persistent"),
        (
            {"contract": replace(CONTRACT, claims=CONTRACT.claims[:-1])},
            f"it didn't claim {CONTRACT.claims[-1]}",
        ),
        ({"contract": replace(CONTRACT, cpus=1)}, "it had fewer CPUs: 1, not 2"),
        (
            {"contract": replace(CONTRACT, device_size_mb=64)},
            "it had fewer MiB of the device: 64, not 256",
        ),
        (
            {"contract": replace(CONTRACT, limits={"file_bytes": 4096})},
            "it had another limit file_bytes (vexlab_limits): 4096, not none",
        ),
    ],
)
def test_pass_of_less_takes_no_failure_back(demanded: dict[str, Any], why: str) -> None:
    """A module that fails its full target doesn't become ready by claiming less of it."""
    sealed(a_run("before", {"mount": Verdict.FAILED}, finished=ago(hours=3)))
    sealed(a_run(**demanded))
    assert f"mount failed, and run-1 takes nothing back: {why}" in criterion(decide(), "tests").why
    assert decide().level == "none"
    sealed(a_run("whole", finished=ago(minutes=5)))
    assert decide().level == "vm"


def test_pass_on_a_kernel_that_looks_less_hard_takes_no_failure_back() -> None:
    """What the stock kernel doesn't see is there all the same."""
    looked = replace(CONTRACT, debug="slab")
    sealed(a_run("before", {"mount": Verdict.FAILED}, finished=ago(hours=3), contract=looked))
    sealed(a_run())
    assert "its kernel looked less hard (--debug none, not slab)" in criterion(decide(), "tests").why


def test_pass_of_fewer_cycles_takes_no_failure_back() -> None:
    many = replace(USUAL, load_cycles=1000)
    sealed(a_run("before", {"stress": Verdict.FAILED}, finished=ago(hours=3), amounts=many))
    sealed(a_run())
    assert "it had fewer load cycles: 20, not 1000" in criterion(decide(), "tests").why


def test_failure_on_a_kernel_that_the_module_is_not_for_says_nothing() -> None:
    sealed(a_run("elsewhere", {"load": Verdict.FAILED}, finished=ago(hours=3), kernel="6.1.0-amd64", contract=None))
    sealed(a_run())
    assert decide().level == "vm"


# ---------------------------------------------------------------- what was demanded


@pytest.mark.parametrize(
    ("level", "lacking"),
    [
        ("vm", "read-write"),
        ("device", "persistent"),
        ("device", "sync"),
        ("device", "mkfs-refuses-mounted"),
        ("production", "mkfs-refuses-signature"),
    ],
)
def test_level_needs_its_claims(level: str, lacking: str) -> None:
    claims = tuple(claim for claim in CONTRACT.claims if claim != lacking)
    less = replace(CONTRACT, claims=claims)
    sealed(a_run(contract=less))
    sign_all()
    for number, hours in ((1, 0.9), (2, 0.6), (3, 0.3)):
        sealed(a_phase(number, hours, contract=less))
    decision = decide()
    assert decision.level == LEVELS[LEVELS.index(level) - 1]
    assert unmet(decision) == [f"claims-{level}"]
    assert criterion(decision, f"claims-{level}").why == f"not claimed: {lacking}"
    assert decision.not_claimed == [lacking]


def test_filesystem_without_a_device_gets_as_far_as_the_vm() -> None:
    """It has no stage mkfs, which is no hole in its run; and no claim and no signature takes it to a device."""
    sealed(of_another_kind())
    sign_all()
    decision = decide()
    assert decision.level == "vm"
    assert {each.key for each in decision.criteria if each.level == "vm" and not each.met} == set()
    said = f"level vm is the last: {NO_DEVICE}; there is no device for it to be tested on"
    assert criterion(decision, "claims-device").why == said
    assert run_criteria.next_steps(of_another_kind())[-1].endswith(f"for this target: {said.partition(': ')[2]}.")


def test_stage_that_only_this_run_left_out_is_a_hole() -> None:
    """What was skipped in a stage that was asked for is another thing than a stage that a target can't have."""
    asked = of_another_kind()
    sealed(replace(asked, selected=tuple(STAGES)))
    assert not criterion(decide(), "operations").met
    left_out = a_run("run-2", {"mkfs": Verdict.NOT_RUN}, selected=asked.selected, verdict=Verdict.PASSED)
    sealed(left_out)
    assert "run-2 doesn't count: stages were left out: mkfs" in criterion(decide(only="run-2"), "evidence").why


def test_pass_without_a_stage_takes_no_failure_back() -> None:
    """The same module, said to have no device after it failed on one."""
    sealed(a_run("bad", {"mkfs": Verdict.FAILED}, contract=of_another_kind().contract))
    sealed(of_another_kind("good", finished=ago(minutes=5)))
    assert "its target had no stage mkfs" in criterion(decide(), "tests").why


def test_module_of_the_kernel_is_nothing_to_promote() -> None:
    run = of_another_kind(reason=NO_BUILD, lacks=("structure", "build"), module=None)
    sealed(run)
    said = f"the run is about no module: {NO_BUILD}; the gate is about modules that were built"
    assert promotion.about(run) == Refused(said)
    with pytest.raises(
        UsageProblem, match="run-1 is about no module that could be promoted: the module comes with the"
    ):
        find_subject(None, "run-1", "default")


def test_phase_demands_what_the_vm_demanded() -> None:
    sealed(a_run())
    for number, hours, contract in (
        (1, 0.9, LESS),
        (2, 0.6, replace(CONTRACT, mount_options_rw="rw,dax")),
    ):
        sealed(a_phase(number, hours, contract=contract))
    assert "it didn't claim read-write, " in criterion(decide(), "phase-1").why
    assert "other mount options of a read-write mount: 'rw,dax', not 'rw'" in criterion(decide(), "phase-2").why


def test_gate_tells_what_was_seen_and_not_what_was_asked_for() -> None:
    sealed(a_run(verdicts={"stress": Verdict.FAILED}))
    assert criterion(decide(), "evidence").why == "run-1: 6 of 7 stages passed, 7 checks"
    loaded = Check("cycles.module_is_loaded_and_unloaded[20 times]", Verdict.PASSED, 9.0)
    mounted = Check("cycles.filesystem_is_mounted_and_unmounted[100 times]", Verdict.SKIPPED, 0.0, "not claimed")
    stress = replace(a_run().stages[5], checks=(loaded, mounted))
    stages = tuple(stress if each.name == stress.name else each for each in a_run().stages)
    sealed(a_run("whole", stages=stages, finished=ago(minutes=5)))
    said = "whole: 7 of 7 stages passed, 7 checks, 1 were skipped; module is loaded and unloaded 20 times"
    assert criterion(decide(), "evidence").why == said


def test_run_that_ended_in_build_is_no_complete_one() -> None:
    sealed(a_run(verdicts={"build": Verdict.FAILED} | dict.fromkeys(STAGES[2:], Verdict.NOT_RUN)))
    said = "run-1 doesn't count: stages were not reached (build failed): load, mkfs, mount, stress, errors"
    assert criterion(decide(), "evidence").why == said
    assert not criterion(decide(), "evidence").met


@pytest.mark.parametrize("days", [0, OLDEST_DAYS + 1, 36500])
def test_evidence_lasts_no_longer_than_a_role_lets_it(days: int) -> None:
    with pytest.raises(UsageProblem, match=f"can't count for {days} days"):
        decide(max_age_days=days)


# ---------------------------------------------------------------- evidence that was touched


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("passed", "passed ").replace("well", "fine").replace("boot", "Boot"))


@pytest.mark.parametrize(
    ("name", "act", "why"),
    [
        ("results.json", edit, "results.json was edited"),
        ("console.log", edit, "console.log was edited"),
        ("stages/mount/kernel.log", Path.unlink, "stages/mount/kernel.log is gone"),
        ("results.json", Path.unlink, "results.json is gone"),
        ("evidence.json", Path.unlink, "evidence.json is gone"),
        ("evidence.json", lambda path: path.write_text(path.read_text() + " "), "evidence.json was edited"),
        (".", shutil.rmtree, "its directory was removed"),
    ],
)
def test_touched_evidence_does_not_count(name: str, act: Callable[[Path], None], why: str) -> None:
    directory = sealed(a_run())
    assert decide().level == "vm"
    act(directory / name)
    assert f"run-1 doesn't count: {why}" in criterion(decide(), "evidence").why
    assert decide().level == "none"


@pytest.mark.parametrize("act", [edit, Path.unlink])
def test_pass_is_not_brought_back_by_touching_a_later_failure(act: Callable[[Path], None]) -> None:
    """The later run doesn't count then, and is known to have failed all the same."""
    sealed(a_run(finished=ago(hours=2)))
    failed = sealed(a_run("later", {"mount": Verdict.FAILED}))
    act(failed / "results.json")
    assert decide().level == "none"
    assert "later, a run of the same module, went wrong: mount failed" in criterion(decide(), "tests").why


def test_phases_of_earlier_are_told_by_what_was_sealed() -> None:
    """A pass that was touched is none; a failure stays one when its directory is removed; what was killed is none."""
    sealed(a_run())
    edit(sealed(a_phase(1, 4)) / "results.json")
    shutil.rmtree(sealed(a_phase(2, 3, Verdict.FAILED)))
    whole = sealed(a_phase(3, 2))
    killed = a_phase(3, 1)
    (user_directories.runs_directory() / killed.run).mkdir()
    results_file.write(user_directories.runs_directory() / killed.run / "results.json", killed)
    past, _ = evidence.on_hardware()
    assert {one.module for one in past} == {SUBJECT.sha256}
    assert [(one.verdict, one.run and one.run.run) for one in past] == [
        (Verdict.PASSED, None),
        (Verdict.FAILED, None),
        (Verdict.NOT_RUN, killed.run),
        (Verdict.PASSED, whole.name),
    ]


def test_results_made_right_by_new_hashes_still_differ_from_the_chain() -> None:
    directory = sealed(a_run(verdicts={"mount": Verdict.FAILED}))
    good = a_run()
    (directory / "results.json").write_text(json.dumps({"schema": 1, "run": good.run}))
    files = json.loads((directory / "evidence.json").read_text())
    files["files"]["results.json"] = evidence.digest(directory / "results.json")
    (directory / "evidence.json").write_text(json.dumps(files))
    assert "evidence.json was edited" in criterion(decide(), "evidence").why


def test_chain_made_right_by_new_hashes_still_differs_from_the_results() -> None:
    sealed(a_run(kernel="6.1.0-amd64"))
    [record] = hash_chain.read(evidence.chain_file())
    record["kernel"] = KERNEL
    record["sha256"] = hash_chain.content_hash(record)
    evidence.chain_file().write_text(json.dumps(record) + "\n")
    assert "the chain says something else of it than its results" in criterion(decide(), "evidence").why


def lines(change: Callable[[list[str]], list[str]]) -> None:
    path = evidence.chain_file()
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda known: [known[0].replace('"failed"', '"passed"'), *known[1:]], ":1: .* edited"),
        (lambda known: [known[0], known[2]], ":2: .* before it is gone"),
        (lambda known: known[1:], ":1: .* before it is gone"),
        (lambda known: [known[0], known[0], *known[1:]], ":2: .* before it is gone"),
        (lambda known: [known[1], known[0], known[2]], ":1: .* before it is gone"),
        (lambda known: [*known, "{"], ":4: .* no record"),
        (lambda known: [*known, "[]"], ":4: .* no record"),
    ],
    ids=["edited", "middle-gone", "first-gone", "doubled", "swapped", "torn", "foreign"],
)
def test_broken_chain_is_refused_by_its_line(change: Callable[[list[str]], list[str]], why: str) -> None:
    sealed(a_run("one", {"mount": Verdict.FAILED}, finished=ago(hours=3)))
    sealed(a_run("two", finished=ago(hours=2)))
    sealed(a_run("three"))
    lines(change)
    with pytest.raises(VexlabError, match=f"chain.jsonl{why}"):
        decide()
    sealed(a_run("four", finished=ago(minutes=1)))  # a run that ends is sealed all the same, and mends nothing
    with pytest.raises(VexlabError, match=r"chain\.jsonl"):
        decide()


def test_run_cut_off_the_end_of_the_chain_does_not_count() -> None:
    sealed(a_run("one", finished=ago(hours=3)))
    sealed(a_run("two", {"mount": Verdict.FAILED}))
    lines(lambda known: known[:-1])
    assert "two was never sealed" in criterion(decide(only="two"), "evidence").why


def test_chain_is_one_for_all_labs_and_modules() -> None:
    sealed(a_run("other", module=replace(MODULE, sha256="ef" * 32), finished=ago(hours=2)))
    sealed(a_run())
    assert [entry.run for entry in evidence.entries()] == ["other", "run-1"]
    assert decide().level == "vm"


# ---------------------------------------------------------------- people


@pytest.mark.parametrize("key", ["evidence", *run_criteria.MUST_PASS, *PHASES])
def test_what_evidence_shows_cannot_be_signed(key: str) -> None:
    with pytest.raises(UsageProblem, match="computed from evidence"):
        sign_offs.sign(SUBJECT.sha256, key, "A. Operator", "trust me", NOW)
    assert not sign_offs.file_of(SUBJECT.sha256).exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("nonsense", "A", "b"), "unknown criterion"),
        (("backup", " ", "b"), "--operator"),
        (("backup", "A", ""), "--note"),
    ],
)
def test_statement_needs_a_criterion_a_name_and_a_note(given: tuple[str, str, str], why: str) -> None:
    with pytest.raises(UsageProblem, match=why):
        sign_offs.sign(SUBJECT.sha256, *given, NOW)


def test_statement_is_for_one_module_and_expires() -> None:
    sealed(a_run())
    sign_all("ef" * 32)
    assert decide().level == "vm"
    sign_all()
    assert "signed by A. Operator" in criterion(decide(), "backup").why
    late = decide(now=NOW + timedelta(days=6, hours=23.3))
    assert "signed by A. Operator, but it is too old" not in criterion(late, "backup").why
    late = decide(now=NOW + timedelta(days=6, hours=23.7), max_age_days=6)
    assert "signed by A. Operator, but it is too old" in criterion(late, "backup").why
    early = decide(now=NOW - timedelta(minutes=45))
    assert "but it is from the future" in criterion(early, "backup").why


def test_edited_statement_is_refused() -> None:
    sealed(a_run())
    sign_all()
    path = sign_offs.file_of(SUBJECT.sha256)
    path.write_text(path.read_text().replace("A. Operator", "Somebody Else", 1))
    with pytest.raises(VexlabError, match=r"statements\.jsonl:1: .* edited"):
        decide()


# ---------------------------------------------------------------- devices


def other_device(number: int, hours: float) -> Run:
    return a_phase(number, hours, device=DeviceRecord("/dev/disk/by-id/ata-other", "S2", number))


@pytest.mark.parametrize(
    ("runs", "missing"),
    [
        ([], PHASES),
        ([a_phase(1, 0.9), a_phase(2, 0.6)], ["phase-3"]),
        ([a_phase(2, 0.9), a_phase(1, 0.6), a_phase(3, 0.3)], ["phase-1"]),
        ([a_phase(1, 0.9), a_phase(2, 0.6, Verdict.FAILED), a_phase(3, 0.3)], PHASES[:2]),
        ([a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, Verdict.HUNG)], PHASES),
        ([a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3), a_phase(1, 0.1, Verdict.FAILED)], PHASES),
        ([other_device(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3)], ["phase-1"]),
        (
            [a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, amounts=replace(USUAL, quick=True))],
            PHASES[2:],
        ),
        ([a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, device=None)], PHASES[2:]),
        ([a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, selected=tuple(STAGES[:5]))], PHASES[2:]),
        ([a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, kernel="6.1.0")], PHASES[2:]),
    ],
    ids=[
        "none",
        "third-missing",
        "order",
        "failed",
        "hung",
        "failed-later",
        "two-devices",
        "quick",
        "no-device",
        "stages",
        "kernel",
    ],
)
def test_phases(runs: list[Run], missing: list[str]) -> None:
    sealed(a_run())
    sign_all()
    for run in runs:
        sealed(run)
    decision = decide()
    assert decision.level != "production"
    assert [key for key in unmet(decision) if key in PHASES] == missing


def test_phase_that_does_not_count_says_why() -> None:
    sealed(a_run())
    for run in (a_phase(1, 0.9), a_phase(2, 0.6), a_phase(3, 0.3, amounts=replace(USUAL, quick=True))):
        sealed(run)
    assert criterion(decide(), "phase-3").why.endswith("doesn't count: it was made with --quick")


def test_failure_on_a_device_takes_the_device_away() -> None:
    sealed(a_run())
    sign_all()
    sealed(a_phase(1, 0.5, Verdict.FAILED))
    assert decide().level == "none"
    assert "phase-1-0.5" in criterion(decide(), "tests").why


# ---------------------------------------------------------------- the report


def test_report_says_what_the_gate_says() -> None:
    run = a_run()
    sealed(run)
    text = markdown.render_markdown(run, "", decide())
    assert "### Production Readiness\n" in text
    assert "level `vm`" in text
    assert "| device | Backup procedures ready | no | nobody signed for it" in text
    assert f"| vm | All VM tests pass without errors | yes | {len(STAGES)} checks passed |" in text


def test_report_of_a_run_without_a_module_or_with_a_broken_chain_says_so() -> None:
    assert "The gate says nothing of this module: the run is about no module" in markdown.render_markdown(
        a_run(module=None), "", promotion.about(a_run(module=None))
    )
    sealed(a_run())
    lines(lambda known: [known[0].replace(KERNEL, "7.0")])
    said = markdown.render_markdown(a_run(), "", promotion.about(a_run()))
    assert "the chain is broken here" in said


def test_every_stage_has_its_place_in_the_gate() -> None:
    """A stage that is added must be covered by a criterion, or a run without it would count as complete."""
    assert [spec.name for spec in stage_list.stages()] == STAGES
