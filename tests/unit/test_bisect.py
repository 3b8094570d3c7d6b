"""`vexlab bisect`: the search over made histories with known answers, and what a person can get wrong."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.made_histories import COMMITS, Module, git, history
from vexlab.bisect import commits, repeats, search
from vexlab.bisect.commits import Commit, Commits
from vexlab.bisect.judging import Judgement, Observation, Sight, judge
from vexlab.bisect.outcome import Judged, Outcome
from vexlab.bisect.repeats import Rate
from vexlab.bisect.search import Answer, Found
from vexlab.bundle.manifest import Failure
from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.guest import reaper
from vexlab.results.model import Verdict


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("module")


@pytest.fixture(scope="module")
def hashes(tree: Path) -> list[str]:
    return history(tree)


@pytest.fixture
def between(tree: Path, hashes: list[str], tmp_path: Path) -> Callable[[int, int], Commits]:
    def made(good: int, bad: int) -> Commits:
        directory = tmp_path / "own"
        directory.mkdir()
        return commits.between(tree, hashes[good], hashes[bad], directory)

    return made


def search_for(history: Commits, module: Module, times: int = 1) -> tuple[Found, list[Judgement]]:
    """What is found, and what was said of each commit on the way."""
    told: list[Judgement] = []

    def answer(_: str) -> Answer:
        told.append(judge(lambda: module.observe(history), times))
        return told[-1].answer

    return search.first_bad(history, answer), told


def coin(seed: int) -> Callable[[], bool]:
    dice = random.Random(seed)  # noqa: S311
    return lambda: dice.random() < 0.5


@pytest.mark.parametrize("breaks", range(2, COMMITS + 1))
def test_commit_that_breaks_is_found(
    between: Callable[[int, int], Commits], hashes: list[str], breaks: int
) -> None:  # fmt: skip
    module = Module(breaks)
    found, _ = search_for(between(1, COMMITS), module)
    assert found == Found((hashes[breaks],))
    assert len(module.looked_at) <= 4  # of 15


@pytest.mark.parametrize("unbuilt", [(8, 9), (7, 8), (12, 13)])
def test_commits_that_do_not_build_are_passed_over(
    between: Callable[[int, int], Commits], hashes: list[str], unbuilt: tuple[int, ...]
) -> None:
    found, told = search_for(between(1, COMMITS), Module(11, unbuilt=unbuilt))
    assert found == Found((hashes[11],))
    assert all(each.last.why.startswith("stage build") for each in told if each.answer is Answer.SKIP)


def test_crash_that_has_nothing_to_do_with_it_is_passed_over(
    between: Callable[[int, int], Commits], hashes: list[str]
) -> None:
    """It is no sign of the failure that is looked for; counted as bad, it would be found in its place."""
    module = Module(11, unbuilt=(4, 14), crashes=(8,))
    found, told = search_for(between(1, COMMITS), module)
    assert found == Found((hashes[11],))
    assert 8 in module.looked_at
    assert "panicked" in next(each.last.why for each in told if each.answer is Answer.SKIP)


def test_commits_that_may_be_it_are_told_when_too_many_do_not_build(
    between: Callable[[int, int], Commits], hashes: list[str]
) -> None:
    found, _ = search_for(between(1, COMMITS), Module(11, unbuilt=(9, 10)))
    assert not found.is_certain
    assert set(found.commits) == {hashes[number] for number in (9, 10, 11)}


def test_where_no_commit_builds_each_may_be_it(between: Callable[[int, int], Commits], hashes: list[str]) -> None:
    found, _ = search_for(between(1, 5), Module(5, unbuilt=(2, 3, 4)))
    assert set(found.commits) == {hashes[number] for number in (2, 3, 4, 5)}


def test_flaky_check_is_run_as_often_as_its_rate_demands(
    between: Callable[[int, int], Commits], hashes: list[str]
) -> None:
    """With one run per commit the answer is wrong for some of these beginnings; with enough runs for none."""
    rate = Rate(3, 6)
    often = repeats.times(rate, COMMITS)
    own = between(1, COMMITS)
    wrong = {1: 0, often: 0}
    for times in wrong:
        for seed in range(10):
            found, _ = search_for(own, Module(6, rate=coin(seed)), times)
            wrong[times] += found != Found((hashes[6],))
            own.git("bisect", "reset")
    assert wrong[1] > 0
    assert wrong[often] == 0


def test_lost_guest_is_tried_again(between: Callable[[int, int], Commits], hashes: list[str]) -> None:
    module = Module(11, lost={8: 2, 12: 1})
    found, told = search_for(between(1, COMMITS), module)
    assert found == Found((hashes[11],))
    assert module.looked_at[:4] == [8, 8, 8, 12]
    assert Answer.SKIP not in [each.answer for each in told]


def test_guest_that_gets_lost_each_time_says_nothing_of_its_commit(
    between: Callable[[int, int], Commits], hashes: list[str]
) -> None:
    module = Module(11, lost={8: 99})
    found, _ = search_for(between(1, COMMITS), module)
    assert found == Found((hashes[11],))
    assert module.looked_at.count(8) == 4


def test_neighbours_need_no_search(between: Callable[[int, int], Commits], hashes: list[str]) -> None:
    module = Module(5)
    found, _ = search_for(between(4, 5), module)
    assert found == Found((hashes[5],))
    assert module.looked_at == []


def test_what_the_judge_raises_ends_the_search(between: Callable[[int, int], Commits]) -> None:
    def full(_: str) -> Answer:
        raise HostProblem("the disk is full")

    with pytest.raises(HostProblem, match="the disk is full"):
        search.first_bad(between(1, COMMITS), full)


def test_end_of_a_run_does_not_end_the_search(between: Callable[[int, int], Commits], hashes: list[str]) -> None:
    """What a run has started is ended with it, and is told by a mark in its environment."""
    module, own = Module(11), between(1, COMMITS)

    def in_a_run(_: str) -> Answer:
        with reaper.guarded():
            return judge(lambda: module.observe(own), 1).answer

    with reaper.guarded():
        assert search.first_bad(own, in_a_run) == Found((hashes[11],))


def test_git_that_is_ended_is_told(between: Callable[[int, int], Commits]) -> None:
    own = between(1, COMMITS)

    def ends_git(_: str) -> Answer:
        own = f"PPid:\t{os.getpid()}\n"
        processes = [path.parent for path in Path("/proc").glob("[0-9]*/status") if own in path.read_text()]
        [pid] = [path.name for path in processes if b"bisect" in (path / "cmdline").read_bytes()]
        os.killpg(int(pid), signal.SIGKILL)
        return Answer.GOOD

    with pytest.raises(VexlabError, match="came to no end"):
        search.first_bad(own, ends_git)


def test_source_that_is_a_part_of_a_repository(tmp_path: Path) -> None:
    """Commits that don't touch it are not looked at."""
    tree = tmp_path / "repository"
    hashes = history(tree, 6, "kernel/")
    (tree / "README").write_text("about\n")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "about")
    (tmp_path / "own").mkdir()
    own = commits.between(tree / "kernel", hashes[1], "main", tmp_path / "own")
    assert own.candidates() == hashes[:1:-1]
    found, _ = search_for(own, Module(4))
    assert found == Found((hashes[4],))
    assert own.about(hashes[4]).author == "Ann <ann@example.org>"
    assert own.changes(hashes[4])[0].split()[0] == "kernel/number"


def test_nothing_is_written_into_the_repository(
    tree: Path, between: Callable[[int, int], Commits], hashes: list[str]
) -> None:
    """Neither files, index, refs and HEAD, nor anything else that is there; an edit that isn't committed stays."""
    (tree / "number").write_text("edited\n")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    found, _ = search_for(between(1, COMMITS), Module(3))
    assert found == Found((hashes[3],))
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    (tree / "number").write_text(f"{COMMITS}\n")


def test_hooks_of_the_person_are_not_run(
    tree: Path, between: Callable[[int, int], Commits], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    search_for(between(1, COMMITS), Module(3))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((5, 2), "the two are swapped"),
        ((5, 5), "the same commit"),
        (("nonsense", 2), "--good 'nonsense' is no commit"),
        ((1, "v9"), "--bad 'v9' is no commit"),
        ((1, ""), "--bad '' is no commit"),
        ((1, "--all"), "--bad '--all' is no commit"),
    ],
)
def test_ends_that_make_no_sense(
    tree: Path, hashes: list[str], tmp_path: Path, ends: tuple[int | str, int | str], words: str
) -> None:
    good, bad = (hashes[end] if isinstance(end, int) else end for end in ends)
    with pytest.raises(UsageProblem, match=words):
        commits.between(tree, good, bad, tmp_path)


def test_good_commit_of_another_branch(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    hashes = history(tree, 4)
    git(tree, "checkout", "--quiet", "-b", "other", hashes[2])
    (tree / "more").touch()
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "other")
    with pytest.raises(UsageProblem, match="not an ancestor") as raised:
        commits.between(tree, "other", "main", tmp_path)
    assert hashes[2][:12] in raised.value.hint


def test_source_that_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no checkout of git"):
        commits.between(tmp_path, "HEAD~1", "HEAD", tmp_path)


def test_times_and_chances() -> None:
    """A rate of one half among 15 commits: 5 steps at the most, each wrong with 1 % at the most."""
    assert repeats.times(Rate(5, 5), 15) == 1
    assert repeats.times(Rate(1, 2), 15) == 7
    assert repeats.times(Rate(1, 100), 15) == repeats.MOST
    assert repeats.chance_of_error(1.0, [1, 1]) == 0
    assert repeats.chance_of_error(0.5, [1]) == pytest.approx(1 / 3)
    assert repeats.chance_of_error(0.5, [7, 7, 14]) == pytest.approx(0.0155, abs=1e-4)
    assert repeats.chance_of_error(0.5, []) == 0
    assert Rate(3, 6).and_also(1, 1) == Rate(4, 7)


def searched(module: Module, runs: int) -> Outcome:
    """A search by halves among 15 commits, whose hashes are their numbers."""
    good, bad, judged = 1, COMMITS, []
    while bad - good > 1:
        number = (good + bad) // 2
        seen = [module.seen(number) for _ in range(runs)]
        answer = Answer.BAD if Sight.PRESENT in seen else Answer.GOOD
        good, bad = (good, number) if answer is Answer.BAD else (number, bad)
        commit = Commit(str(number), "", "", "")
        judged.append(Judged(commit, Judgement(answer, runs, Observation(Sight.ABSENT))))
    candidates = tuple(str(number) for number in range(COMMITS, 1, -1))
    failure = Failure("mount", "rename.over", Verdict.FAILED, "it broke")
    return Outcome(failure, Found((str(bad),)), (), Rate(1, 2), tuple(judged), candidates)


def test_chance_that_is_told_is_how_often_the_answer_is_wrong() -> None:
    """Over all that it can be, a hundred times each, with a check that fails every other time."""
    for runs in (1, 2, 4):
        found = [
            (breaks, searched(Module(breaks, rate=coin(100 * breaks + seed)), runs))
            for breaks in range(2, COMMITS + 1)
            for seed in range(100)
        ]
        wrong = sum(outcome.found != Found((str(breaks),)) for breaks, outcome in found) / len(found)
        told = sum(repeats.chance_of_error(0.5, outcome.needed) for _, outcome in found) / len(found)
        assert told == pytest.approx(wrong, abs=0.03)
        assert wrong > 0.05
