"""How often a known failure failed: over the runs of its target, those aside in which it was not judged."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tests.unit.example_runs import a_run
from tests.unit.made_runs import NOT_RUN, Made, document, keep
from vexlab.cli.order import _show_known_failures
from vexlab.history import index, known_failures
from vexlab.history.past_runs import Tally
from vexlab.results.model import Contract, Verdict

CHECK = "mount/rename.over"
CONTRACT = Contract(
    claims=(), module_parameters="", mount_options_ro="ro", mount_options_rw="rw", cpus=1, memory_mb=512,
    device_size_mb=64, known_failures=("mount/rename.*",), sha256="0" * 64,
)  # fmt: skip


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(verdict: Verdict | None, target: str = "vexfs") -> Made:
    return Made({CHECK: verdict} if verdict else {}, changes={"contract": CONTRACT, "target": target})


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (Verdict.XFAILED, "mount/rename.over: rename.over: it came to xfailed; failed in 3 of 4 runs"),
        (None, "mount/rename.over: passed this time; failed in 2 of 4 runs"),
    ],
    ids=["it fails", "it passes"],
)
def test_rate_is_of_the_runs_that_judged_it(
    last: Verdict | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [made(Verdict.XFAILED), made(None), made(NOT_RUN), made(Verdict.XFAILED), made(Verdict.XFAILED, "other")]
    for number, one in enumerate([*others, made(last)]):
        keep(number, one)
    _show_known_failures(document(len(others), made(last)))
    assert f"known failure {words}" in " ".join(capsys.readouterr().err.split())


def test_what_never_failed_as_expected_has_no_rate() -> None:
    keep(0, made(Verdict.FAILED))
    assert index.ask(functools.partial(known_failures.rates, document(0, made(None)))) == {}
    assert index.ask(functools.partial(known_failures.rates, a_run({}))) == {}


def test_rate_counts_each_run_once() -> None:
    keep(0, made(Verdict.XFAILED))
    rates = index.ask(functools.partial(known_failures.rates, document(0, made(Verdict.XFAILED))))
    assert rates == {CHECK: Tally(1, 1)}
