"""The index of runs and the commands on it: never more, nor less, than what the directories of the runs hold."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from tests.unit.gate_evidence import a_run as gate_run
from tests.unit.gate_evidence import sealed
from tests.unit.made_runs import CHECKS, FAILED, Made, keep, keep_all
from vexlab.cli.main import cli
from vexlab.config import user_directories
from vexlab.errors import VexlabError
from vexlab.gate import evidence
from vexlab.history import index
from vexlab.history.past_runs import PastRuns
from vexlab.report import sparkline
from vexlab.results import results_file
from vexlab.results.model import Verdict

ROOT = Path(__file__).parents[2]
FORMER = Path(__file__).with_name("former")
BROKEN = "mount/rename.over"


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def names() -> list[str]:
    return [run.name for run in index.ask(PastRuns.runs)]


def verdicts(check: str = BROKEN) -> dict[str, str]:
    found = index.ask(lambda past: past.history([check], [run.name for run in past.runs()]))
    return {each.run[9:15]: str(each.verdict) for each in found}


def vexlab(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def ended(*words: str) -> tuple[int, str]:
    """The exit code of a command, and all that it says of what went wrong."""
    done = vexlab(*words)
    if isinstance(done.exception, VexlabError):
        return done.exception.exit_code, done.stderr + str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stderr


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        cwd=ROOT, env=os.environ,
    )  # fmt: skip


def test_index_follows_the_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is read once, and again when its results are another file; it goes with its directory."""
    first, second = (keep(number, Made({BROKEN: FAILED} if number else {})) for number in range(2))
    read: list[str] = []
    real = results_file.read

    def counted(path: Path) -> object:
        read.append(path.parent.name)
        return real(path)

    monkeypatch.setattr(results_file, "read", counted)
    assert verdicts() == {"000000": "passed", "000001": "failed"}
    assert names() == [first.name, second.name]
    assert sorted(read) == [first.name, second.name]
    shutil.rmtree(second)
    keep(2, Made())
    results = first / "results.json"
    status = results.stat()
    document = json.loads(results.read_text())
    next(check for check in document["stages"][1]["checks"] if check["name"] == "rename.over")["verdict"] = "failed"
    document["stages"][1]["verdict"] = document["verdict"] = "failed"
    results.write_text(results_file.as_text(document))
    os.utime(results, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert results.stat().st_size == status.st_size, "nothing but the time of the change tells"
    assert verdicts() == {"000000": "failed", "000002": "passed"}


def test_many_runs_that_must_be_read_first_are_told() -> None:
    for number in range(index.AT_ONCE + 1):
        keep(number, Made(checks={"mount": ("rename.over",)}))
    assert "reading 51 runs into the index, once" in vexlab("runs").stderr
    assert "reading" not in vexlab("runs").stderr


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros_inside(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 4096))


def another_schema(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("DROP TABLE outcome")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_text("hello" * 1000),
    "truncated": truncated,
    "zeros inside": zeros_inside,
    "another schema": another_schema,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_index_is_built_anew(damage: Callable[[Path], object]) -> None:
    keep_all([Made(), Made({BROKEN: FAILED})])
    before = verdicts()
    damage(user_directories.index_file())
    assert verdicts() == before == {"000000": "passed", "000001": "failed"}
    with sqlite3.connect(user_directories.index_file()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (2,)


def test_cache_that_can_not_be_written_is_done_without(tmp_path: Path) -> None:
    keep(0, Made())
    (tmp_path / "cache").write_text("is a file")
    assert verdicts() == {"000000": "passed"}
    assert "20261101-000000-default" in vexlab("runs").stdout


def test_old_index_of_a_state_directory_that_is_gone_is_removed() -> None:
    keep(0, Made())
    names()
    mine = user_directories.index_file()
    old, young = mine.with_name("old.sqlite"), mine.with_name("young.sqlite")
    for path in (old, young):
        path.write_bytes(b"")
    os.utime(old, (1, 1))
    mine.unlink()
    assert names() == ["20261101-000000-default"]
    assert (old.exists(), young.exists(), mine.exists()) == (False, True, True)


def test_two_commands_at_once_see_the_same() -> None:
    """While runs come and go, and the index is not there yet."""
    for number in range(30):
        keep(number, Made())
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(process, "runs", "-n", "0", "--json") for _ in range(2)]
        keep(30, Made())
        shutil.rmtree(user_directories.runs_directory() / "20261101-000000-default")
        done = [each.result() for each in asked]
    assert [each.returncode for each in done] == [0] * 2, [each.stderr for each in done]
    kept = {f"20261101-{number:06d}-default" for number in range(1, 30)}
    assert all({run["run"] for run in json.loads(each.stdout)} >= kept for each in done)
    assert names() == sorted(kept | {"20261101-000030-default"})
    with sqlite3.connect(user_directories.index_file()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_pruned_runs_are_gone_from_the_index() -> None:
    for path in (keep(number, Made()) for number in range(4)):
        os.utime(path, (1, 1))
    assert len(names()) == 4
    assert vexlab("runs", "prune", "--keep", "1", "--yes").exit_code == 0
    assert names() == ["20261101-000003-default"]
    assert "nothing before it" in str(vexlab("compare").exception)


def test_what_can_not_be_read_is_named_and_hides_no_other() -> None:
    keep_all([Made(), Made({BROKEN: FAILED}), Made()])
    broken = user_directories.runs_directory() / "20261101-000002-default" / "results.json"
    broken.write_text("{")
    for words in (["runs"], ["compare"], ["history", BROKEN]):
        done = vexlab(*words)
        assert done.stderr.count("run 20261101-000002-default is passed over: ") == 1
        assert "is not JSON" in done.stderr
        assert "20261101-000001-default" in done.stdout
    code, said = ended("compare", "20261101-000002-default")
    assert (code, "000002-default/results.json is not JSON" in said) == (1, True)
    shutil.copy(user_directories.runs_directory() / "20261101-000000-default" / "results.json", broken)
    assert len(names()) == 3


def test_runs_of_former_versions_are_compared() -> None:
    for number, name in enumerate(("without-contract", "panicked")):
        path = user_directories.runs_directory() / f"20261128-{number:06d}-mutant"
        path.mkdir(parents=True)
        (path / "lab").write_text("mutant\n")
        shutil.copy(FORMER / f"{name}.json", path / "results.json")
    done = vexlab("compare")
    assert done.exit_code == 1, done.output
    assert "→ panicked" in done.stdout
    assert "no new failure" not in done.stdout


def test_results_that_were_edited_are_shown_with_a_warning() -> None:
    old = sealed(gate_run("20261101-000000-default"))
    new = sealed(gate_run("20261101-000001-default"))
    for path in (old, new):
        (path / "lab").write_text("default\n")
    assert "is not as it was" not in vexlab("compare").stderr
    results = new / "results.json"
    results.write_text(results.read_text().replace('"target": "toyfs"', '"target": "other"'))
    for words in (["runs"], ["compare"], ["history", "mount/*"]):
        code, said = ended(*words)
        assert code == 0, said
        assert f"run {new.name} is not as it was when it ended: results.json was edited" in said
        assert old.name not in said
    seal = json.loads((new / "evidence.json").read_text())
    seal["files"]["results.json"] = evidence.digest(results)
    (new / "evidence.json").write_text(json.dumps(seal))
    assert f"run {new.name} is not as it was when it ended: evidence.json was edited" in vexlab("compare").stderr
    (old / "evidence.json").unlink()
    assert f"run {old.name} is not as it was when it ended: evidence.json is gone" in vexlab("compare").stderr
    (user_directories.runs_directory() / "chain.jsonl").write_text("{}\n")
    assert "nothing tells whether results were edited" in vexlab("runs").stderr


def test_compare_ends_with_what_came_of_it() -> None:
    keep_all([Made(), Made({BROKEN: FAILED}), Made({BROKEN: FAILED}), Made(checks={"errors": CHECKS["errors"][:1]})])
    names = [f"20261101-00000{number}" for number in range(4)]
    codes = {
        (names[0], names[1]): 1,
        (names[1], names[2]): 0,
        (names[1], names[0]): 0,
        (names[0], "nothing"): 2,
        (names[3], "2026"): 2,
    }
    assert {pair: ended("compare", *pair)[0] for pair in codes} == codes
    document = json.loads(vexlab("compare", *names[:2], "--json").stdout)
    assert document["new_failures"] == [BROKEN]
    assert document["counts"]["regression"] == 1
    assert document["changes"] == [
        {"check": BROKEN, "class": "regression", "old": "passed", "new": "failed", "explained": "",
         "why": "rename.over: it came to failed"}
    ]  # fmt: skip


def test_one_check_has_a_line_for_each_run_and_several_a_line_each() -> None:
    keep_all([Made({BROKEN: FAILED} if number in (1, 2) else {}, commit="c0ffee" * 6) for number in range(8)])
    one = vexlab("history", BROKEN, "-n", "7").stdout.splitlines()
    assert one[0] == f"{BROKEN}: failed in 2 of 8 runs (rate 7% to 59%)"
    assert [line.split()[0][9:15] for line in one[1:]] == [f"{number:06d}" for number in range(7, 0, -1)]
    assert "✘ failed, 0.10 s" in one[6]
    assert "commit c0ffeec0ffee: rename.over: it came to failed" in one[6]
    several = vexlab("history", "rename.*").stdout.splitlines()
    assert [line.split()[:2] for line in several] == [[BROKEN, "✔✘✘✔✔✔✔✔"], ["mount/rename.loop", "✔✔✔✔✔✔✔✔"]]
    [document] = json.loads(vexlab("history", BROKEN, "--json").stdout)
    assert (document["failed"], document["judged"], len(document["runs"])) == (2, 8, 8)
    code, said = ended("history", "mount/rename.ovr")
    assert (code, "did you mean mount/rename.over" in said) == (2, True)


def test_list_of_runs_has_bars_for_its_stages() -> None:
    many = {f"errors/many.check[{number}]": FAILED for number in range(9)}
    checks = CHECKS | {"errors": tuple(name.partition("/")[2] for name in many)}
    keep(0, Made({BROKEN: FAILED, **many}, checks=checks))
    keep(1, Made({"mount": Verdict.NOT_RUN}, changes={"selected": ("build", "errors")}))
    lines = vexlab("runs").stdout.splitlines()
    assert "▁·▁" in lines[1]
    assert "10     ▁▂▅" in lines[2]


def test_bars_double() -> None:
    assert sparkline.bars([-1, 0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 9999]) == "·▁▂▃▃▄▄▅▆▇██"


def test_text_from_a_guest_reaches_no_terminal_and_no_database_as_it_is() -> None:
    nasty = "mount/\x1b[31mred\udcff\x00 <script>"
    keep(0, Made(checks={"mount": (nasty.partition("/")[2], "rename.loop")}))
    keep(1, Made({nasty: FAILED}, checks={"mount": (nasty.partition("/")[2], "rename.loop")}))
    for words in (["runs"], ["compare"], ["history", "mount/*"]):
        done = vexlab(*words)
        assert done.exception is None or isinstance(done.exception, SystemExit), words
        assert "\x1b" not in done.stdout
        assert "\x00" not in done.stdout
    assert "red" in vexlab("compare").stdout


def test_ten_megabytes_of_words_are_cut() -> None:
    path = keep(0, Made({BROKEN: FAILED}))
    run = results_file.read(path / "results.json")
    loud = tuple(replace(check, message="x" * 10_000_000 * (check.verdict is FAILED)) for check in run.stages[1].checks)
    results_file.write(
        path / "results.json",
        replace(run, stages=(run.stages[0], replace(run.stages[1], checks=loud), run.stages[2])),
    )
    keep(1, Made())
    assert len(vexlab("compare", "20261101-000001", "20261101-000000").stdout) < 20_000
    assert user_directories.index_file().stat().st_size < 1_000_000
