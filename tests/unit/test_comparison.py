"""Two runs compared, on histories with known answers: what is new, what a flaky past explains, what else differs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.made_runs import CHECKS, FAILED, KERNEL, NOT_RUN, Made, keep, keep_all
from vexlab.config import user_directories
from vexlab.errors import UsageProblem
from vexlab.history import comparison, index, references, statistics
from vexlab.history.changes import Class
from vexlab.history.comparison import Comparison
from vexlab.history.past_runs import PastRuns
from vexlab.results.model import Amounts, Reruns, Stage, Verdict

FLAKY, BROKEN, CRASHES = "mount/times.utime", "mount/rename.over", "errors/damage.noise"


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def sixteen() -> list[Made]:
    """One flaky check, a kernel change at 8, one that breaks at 11 and stays, one crash at 13."""
    wrong: dict[int, dict[str, Verdict]] = {number: {} for number in range(16)}
    for number in (2, 5, 12):
        wrong[number][FLAKY] = FAILED
    for number in range(11, 16):
        wrong[number][BROKEN] = FAILED
    wrong[13][CRASHES] = Verdict.PANICKED
    module = ["aa"] * 8 + ["ab"] * 3 + ["ac"] * 5
    kernel = [KERNEL] * 8 + ["6.13.0-amd64"] * 8
    return [Made(wrong[number], module[number], kernel[number]) for number in range(16)]


def compared(old: int | str, new: int | str, leave_out: tuple[str, ...] = ()) -> Comparison:
    names = [f"20261101-{each:06d}" if isinstance(each, int) else each for each in (old, new)]

    def question(past: PastRuns) -> Comparison:
        one, other = (references.meant(name, past.runs(), None) for name in names)
        return comparison.compare(one, other, past, leave_out)

    return index.ask(question)


def told(found: Comparison) -> dict[str, tuple[str, bool]]:
    return {change.check: (str(change.kind), bool(change.explained)) for change in found.changes}


@pytest.mark.parametrize(
    ("old", "new", "expected", "failures"),
    [
        (0, 1, {}, []),
        (1, 2, {FLAKY: ("regression", False)}, [FLAKY]),  # nothing before it tells of a flaky past
        (2, 3, {FLAKY: ("fixed", True)}, []),
        (4, 5, {FLAKY: ("regression", True)}, []),
        (7, 8, {}, []),
        (10, 11, {BROKEN: ("regression", False)}, [BROKEN]),
        (11, 12, {FLAKY: ("regression", False), BROKEN: ("still failing", False)}, [FLAKY]),  # another module: no past
        (12, 13, {CRASHES: ("regression", False), BROKEN: ("still failing", False), FLAKY: ("fixed", True)}, [CRASHES]),
        (13, 14, {BROKEN: ("still failing", False), CRASHES: ("fixed", True)}, []),
        (0, 15, {BROKEN: ("regression", False)}, [BROKEN]),
    ],
)
def test_sixteen_runs(old: int, new: int, expected: dict[str, tuple[str, bool]], failures: list[str]) -> None:
    keep_all(sixteen())
    found = compared(old, new)
    assert told(found) == expected
    assert [change.check for change in found.new_failures] == failures
    assert found.common == sum(map(len, CHECKS.values()))


def test_flaky_past_is_told_in_numbers() -> None:
    keep_all(sixteen())
    [change] = compared(4, 5).changes
    assert change.explained == (
        "flaky: failed in 1 of 5 earlier runs of the same module and kernel, a rate between 4% and 62%"
    )


def test_results_that_were_edited_explain_nothing() -> None:
    names = keep_all(sixteen())
    assert told(compared(4, 5, leave_out=(names[2],))) == {FLAKY: ("regression", False)}


def test_check_that_failed_once_in_a_hundred_runs_is_no_excuse() -> None:
    keep_all([Made({FLAKY: FAILED} if number in (3, 60) else {}) for number in range(61)])
    assert told(compared(59, 60)) == {FLAKY: ("regression", False)}


def test_check_that_fails_each_time_it_is_run_again_is_not_flaky() -> None:
    keep_all([Made({FLAKY: FAILED} if number == 3 else {}) for number in range(12)])
    again = {"reruns": Reruns(FLAKY, 3, 3)}
    keep(12, Made({FLAKY: FAILED}))
    keep(13, Made({FLAKY: FAILED}, changes=again))
    assert told(compared(11, 12)) == {FLAKY: ("regression", True)}
    assert told(compared(11, 13)) == {FLAKY: ("regression", False)}


CLASSES = {
    # before, now: None is not among the checks
    (Verdict.PASSED, Verdict.HUNG): Class.REGRESSION,
    (Verdict.PASSED, Verdict.XFAILED): Class.REGRESSION,
    (Verdict.LOST, Verdict.PASSED): Class.FIXED,
    (Verdict.XFAILED, Verdict.PASSED): Class.FIXED,
    (Verdict.FAILED, Verdict.PANICKED): Class.STILL_FAILING,
    (Verdict.XFAILED, Verdict.XFAILED): Class.STILL_FAILING,
    (Verdict.SKIPPED, Verdict.FAILED): Class.NEW_FAILURE,
    (Verdict.NOT_RUN, Verdict.FAILED): Class.NEW_FAILURE,
    (None, Verdict.FAILED): Class.NEW_FAILURE,
    (Verdict.SKIPPED, Verdict.PASSED): Class.NEW_PASS,
    (Verdict.NOT_RUN, Verdict.PASSED): Class.NEW_PASS,
    (None, Verdict.PASSED): Class.APPEARED,
    (None, Verdict.SKIPPED): Class.APPEARED,
    (Verdict.PASSED, None): Class.DISAPPEARED,
    (Verdict.PASSED, Verdict.SKIPPED): Class.DISAPPEARED,
    (Verdict.FAILED, Verdict.NOT_RUN): Class.DISAPPEARED,
    (Verdict.SKIPPED, None): Class.DISAPPEARED,
    (Verdict.PASSED, Verdict.PASSED): None,
    (Verdict.SKIPPED, Verdict.NOT_RUN): None,
    (Verdict.SKIPPED, Verdict.SKIPPED): None,
}


@pytest.mark.parametrize(("verdicts", "kind"), CLASSES.items(), ids=str)
def test_classes(verdicts: tuple[Verdict | None, Verdict | None], kind: Class | None) -> None:
    for number, verdict in enumerate(verdicts):
        names = CHECKS["mount"][1:] if verdict is None else CHECKS["mount"]
        wrong = {} if verdict is None else {BROKEN: verdict}
        keep(number, Made(wrong, checks=CHECKS | {"mount": names}))
    found = told(compared(0, 1))
    assert {name: Class(kind) for name, (kind, _) in found.items()} == ({} if kind is None else {BROKEN: kind})


def test_known_failure_is_told_and_is_no_new_one() -> None:
    keep_all([Made(), Made({BROKEN: Verdict.XFAILED})])
    found = compared(0, 1)
    assert told(found) == {BROKEN: ("regression", True)}
    assert "a known failure" in found.changes[0].explained
    assert found.new_failures == []


def test_build_that_breaks_is_a_regression_of_its_stage() -> None:
    """No check tells of it: the role of the stage failed, and the others were not reached."""
    stages = {name: names for name, names in CHECKS.items() if name != "build"}
    keep(0, Made())
    keep(1, Made({"build": FAILED, "mount": NOT_RUN, "errors": NOT_RUN}, checks={"build": (), **stages}))
    found = compared(0, 1)
    assert [change.check for change in found.new_failures] == ["build/stage itself"]
    assert told(found)["mount/stage itself"] == told(found)["mount/rename.over"] == ("disappeared", False)


def test_nothing_in_common_is_said() -> None:
    keep(0, Made(checks={"mount": CHECKS["mount"]}))
    keep(1, Made(checks={"errors": CHECKS["errors"]}))
    with pytest.raises(UsageProblem, match="have nothing in common: no check was judged in both") as raised:
        compared(0, 1)
    assert "stages mount" in raised.value.hint
    broken = Stage("build", Verdict.FAILED, reason="no such file")
    keep(2, Made(checks={}, changes={"stages": (broken,), "selected": ("mount",)}))
    with pytest.raises(UsageProblem) as raised:
        compared(0, 2)
    assert "judged no check, since stage build failed" in raised.value.hint


def test_checks_that_were_not_chosen_have_not_disappeared() -> None:
    """A run of chosen checks says nothing of the others; what was chosen and isn't there any more has disappeared."""
    keep(0, Made())
    chosen = {"mount": ("rename.over", "times.utime")}
    keep(1, Made(checks=chosen, changes={"chosen": ("mount/rename", "mount/times.*")}))
    found = compared(0, 1)
    assert told(found) == {"mount/rename.loop": ("disappeared", False)}
    assert found.remarks == (
        "20261101-000001-default was of chosen checks: 8 that 20261101-000000-default has were not chosen",
    )
    back = compared(1, 0)
    assert told(back) == {"mount/rename.loop": ("appeared", False)}
    assert back.remarks == found.remarks


def test_run_that_was_cut_off_says_so() -> None:
    keep(0, Made())
    keep(1, Made(dict.fromkeys(("errors/damage.zeros", CRASHES), NOT_RUN), changes={"finished": None}))
    found = compared(0, 1)
    assert "20261101-000001-default never ended" in found.remarks[0]
    assert told(found)[CRASHES] == ("disappeared", False)


def test_what_else_differs() -> None:
    keep(0, Made(changes={"amounts": Amounts(False, 20, 100, 500, 7)}))
    keep(1, Made({}, "bb", "6.13.0-amd64", changes={"suite": "6" * 64, "amounts": Amounts(True, 5, 100, 500, 8)}))
    found = {each.what: (each.old, each.new) for each in compared(0, 1).differences}
    assert found == {
        "module": ("aa" * 6, "bb" * 6), "kernel": (KERNEL, "6.13.0-amd64"),
        "suite": ("5" * 12 + " (vexlab 0.1.0)", "6" * 12 + " (vexlab 0.1.0)"),
        "stress: quick": ("False", "True"), "stress: load cycles": ("20", "5"),
    }  # fmt: skip
    assert compared(1, 1).differences == ()


def git(tree: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *who, *words], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


def test_source_is_compared_by_git_and_runs_are_found_by_it(tmp_path: Path) -> None:
    tree = tmp_path / "source"
    tree.mkdir()
    git(tree, "init", "--quiet")
    commits = []
    for number in range(3):
        (tree / "super.c").write_text("int x;\n" * number)
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "--allow-empty", "-m", str(number))
        commits.append(git(tree, "rev-parse", "HEAD"))
        path = keep(number, Made({}, f"a{number}", commit=commits[-1], branch="main" if number < 2 else "fix"))
        (path / "contract.json").write_text(json.dumps({"vexlab_source": str(tree)}))
    keep(3, Made(kernel="6.13.0-amd64"))
    found = compared(0, 2)
    assert "super.c | 2 ++" in found.source[0]
    assert ("source", f"commit {commits[0][:12]} of branch main") in [
        (each.what, each.old) for each in found.differences
    ]

    def meant(word: str) -> int:
        return index.ask(lambda past: int(references.meant(word, past.runs(), None).name[9:15]))

    words = ["main", "fix", commits[1][:7], commits[0], "HEAD~2", KERNEL, "6.13", "6.12", "20261101-000001"]
    assert [meant(word) for word in words] == [1, 2, 1, 0, 0, 2, 3, 2, 1]
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "not tested")
    means_none = {**dict.fromkeys(("nothing", "6.1", "--help"), "means no run"), "": "the name of a run is empty"}
    for word, message in {"HEAD": "no run tested", "2026": "4 runs begin with", **means_none}.items():
        with pytest.raises(UsageProblem, match=message):
            meant(word)


def test_last_two_are_of_one_lab_and_ended() -> None:
    keep(0, Made())
    keep(1, Made())
    keep(2, Made(lab="other"))
    keep(3, Made())
    keep(4, Made(changes={"finished": None}))
    runs = index.ask(lambda past: past.runs())
    assert [run.name[9:15] for run in references.last_two(runs, None)] == ["000001", "000003"]
    with pytest.raises(UsageProblem, match="lab other has one run that ended"):
        references.last_two(runs, "other")
    with pytest.raises(UsageProblem, match="no run of lab nowhere"):
        references.last_two(runs, "nowhere")
    assert references.last_beside(runs[0], runs, None).name[9:15] == "000003"
    with pytest.raises(UsageProblem, match="is the last run of lab"):
        references.last_beside(runs[3], runs, None)


def test_what_became_slow_is_told_beyond_its_noise() -> None:
    """One is slow in earnest; one always varies so much; one is too short to tell; all are a little slower."""
    noisy, short, slow = "mount/rename.loop", "mount/acls.kept", "mount/files.large"
    history = [Made(seconds={noisy: 0.2 + number % 3, short: 0.01, slow: 1.0}) for number in range(8)]
    usual = {f"{stage}/{name}": 0.12 for stage, names in CHECKS.items() for name in names}
    keep_all([*history, Made(seconds=usual | {noisy: 2.2, short: 0.03, slow: 1.9})])
    times = compared(7, 8).times
    assert [(each.check, each.usual, each.now, each.runs) for each in times.slow] == [(slow, 1.0, 1.9, 8)]
    assert times.pace == pytest.approx(1.2)


def test_machine_that_is_slow_makes_no_check_slow() -> None:
    usual = {f"{stage}/{name}": 0.3 for stage, names in CHECKS.items() for name in names}
    keep_all([*[Made()] * 6, Made(seconds=usual)])
    times = compared(5, 6).times
    assert times.slow == ()
    assert times.pace == pytest.approx(3.0)


def test_times_are_not_compared_where_they_can_not_be() -> None:
    keep_all([Made()] * 3)
    assert "there are 2 earlier runs like these" in compared(1, 2).times.why_not
    keep(3, Made(changes={"amounts": Amounts(True, 5, 25, 125, 0)}))
    assert compared(2, 3).times.why_not == "target, machine or amounts are others"


def test_interval_and_chance_are_those_of_the_tables() -> None:
    """Wilson's interval and Fisher's test, by hand."""
    assert [round(edge, 4) for edge in statistics.interval(2, 10)] == [0.0567, 0.5098]
    assert [round(edge, 4) for edge in statistics.interval(0, 10)] == [0.0, 0.2775]
    assert statistics.interval(0, 0) == (0.0, 1.0)
    assert statistics.by_chance((1, 100), (1, 1)) == pytest.approx(2 / 101)
    assert statistics.by_chance((2, 10), (4, 4)) == pytest.approx(45 / 3003)
    assert statistics.by_chance((0, 5), (0, 1)) == 1.0


def test_no_directory_of_another_cache_is_written(tmp_path: Path) -> None:
    keep_all([Made(), Made()])
    compared(0, 1)
    assert user_directories.index_file().is_relative_to(tmp_path)
