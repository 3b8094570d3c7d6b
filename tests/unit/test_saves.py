"""`vexlab watch`: which saves begin a round, one round after the other, and what is told of them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from vexlab.config import installation
from vexlab.errors import UsageProblem
from vexlab.saves import rounds
from vexlab.saves.changes import Saves, only_texts
from vexlab.saves.rounds import Round

ROOT = Path(__file__).parents[2]
PRODUCTS = tuple(installation.contract_defaults()["vexlab_exclude"])
PASSED, FAILED = Round("passed", "stages mount"), Round("failed", "stage mount failed: it broke", Path("/run/page"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    (path / "kernel").mkdir(parents=True)
    (path / ".git").mkdir()
    (path / "kernel" / "super.c").write_text("int x;\n")
    return path


@pytest.mark.parametrize(
    "name", ["Kbuild", "kernel/super.c", "mkfs/main.rs", ".clang-format", "tests/own.sh", "a.swift"]
)
def test_file_of_the_source_counts(tree: Path, name: str) -> None:
    assert Saves(tree, (), PRODUCTS).counts(tree / name)


@pytest.mark.parametrize(
    "name",
    [
        ".git/index", ".git/refs/heads/main", "kernel/.super.c.swp", "kernel/.super.c.swx", "kernel/4913",
        "kernel/super.c~", "kernel/.#super.c", "kernel/#super.c#", "kernel/super.c___jb_tmp___",
        "kernel/.goutputstream-X1Y2", "kernel/super.o", "vexfs.ko", "vexfs.mod.c", "kernel/.super.o.cmd",
        "Module.symvers", ".tmp_versions/vexfs.mod", "__pycache__/x.pyc", ".super.c.4f2a.tmp",
        "kernel/super.c.orig", ".git", "",
    ],
)  # fmt: skip
def test_what_is_written_on_the_way_does_not_count(tree: Path, name: str) -> None:
    """By editors, git and builds."""
    assert not Saves(tree, (), PRODUCTS).counts(tree / name)


def test_target_file_beside_the_source_counts_and_its_neighbours_do_not(tree: Path, tmp_path: Path) -> None:
    saves = Saves(tree, (tmp_path / "vexlab.yml",), PRODUCTS)
    assert saves.counts(tmp_path / "vexlab.yml")
    assert not saves.counts(tmp_path / "other.yml")


def test_texts_are_told_from_what_is_built() -> None:
    assert only_texts([Path("README.md"), Path("LICENSE"), Path("docs/mkfs.8.rst")])
    assert not only_texts([Path("README.md"), Path("super.c")])
    assert not only_texts([Path("Makefile")])


def in_time(saves: Saves, steps: Sequence[Callable[[], object]]) -> list[list[Path]]:
    """What is yielded when somebody does these things one after the other, a second apart."""
    stop = threading.Event()

    def work() -> None:
        for step in steps:
            time.sleep(1)
            step()
        time.sleep(1)
        stop.set()

    worker = threading.Thread(target=work)
    worker.start()
    found = list(saves.each(stop))
    worker.join()
    return found


def test_save_is_noticed_and_what_an_editor_does_around_it_is_not(tree: Path) -> None:
    """As vim saves: a probe, a copy that takes the name of the file, another one put into its place."""
    source = tree / "kernel" / "super.c"

    def as_vim_does() -> None:
        (source.parent / "4913").touch()
        (source.parent / "4913").unlink()
        source.rename(source.with_name("super.c~"))
        source.write_text("int y;\n")
        source.with_name("super.c~").unlink()

    steps = [(tree / ".git" / "index").touch, (tree / "kernel" / "super.o").touch, as_vim_does]
    assert in_time(Saves(tree, (), PRODUCTS), steps) == [[], [source]]


def test_save_during_a_round_begins_the_next(tree: Path) -> None:
    """The first round as well; and only one, however much is saved meanwhile."""
    source, stop = tree / "kernel" / "super.c", threading.Event()
    played: list[Sequence[Path]] = []

    def play(saved: Sequence[Path]) -> Round:
        played.append(saved)
        if len(played) == 1:
            source.write_text("int y;\n")
        if len(played) == 2:
            for name in ("one.c", "two.c"):
                (source.parent / name).touch()
                time.sleep(0.6)
        if len(played) == 3:
            stop.set()
        return PASSED

    rounds.follow(Saves(tree, (), PRODUCTS).each(stop), play, lambda *_: None, lambda *_: None)
    assert played == [[], [source], [source.with_name("one.c"), source.with_name("two.c")]]


def test_sign_is_given_when_the_verdict_changes(tmp_path: Path) -> None:
    """Not at the first round, and not when it stays as it was."""
    results = iter([FAILED, FAILED, PASSED, PASSED, FAILED])
    told: list[tuple[str, str]] = []
    signs: list[tuple[str, str]] = []
    saves = [[tmp_path / "super.c"], [tmp_path / name for name in ("a", "b", "c", "d", "e")], [tmp_path / "x"]] * 2
    rounds.follow(
        iter([[], *saves[:4]]), lambda _: next(results), lambda came, saved: told.append((came.verdict, saved)),
        lambda now, before: signs.append((before.verdict, now.verdict)),
    )  # fmt: skip
    assert told == [("failed", ""), ("failed", "super.c"), ("passed", "a, b, c and 2 more"), ("passed", "x"),
                    ("failed", "super.c")]  # fmt: skip
    assert signs == [("failed", "passed"), ("passed", "failed")]


def test_command_of_a_person_finds_the_verdict(tmp_path: Path) -> None:
    text = f'echo "$VEXLAB_VERDICT_BEFORE $VEXLAB_VERDICT $VEXLAB_REASON $VEXLAB_PAGE" >{tmp_path}/told'
    assert rounds.command(text, FAILED, PASSED) == ""
    assert (tmp_path / "told").read_text() == "passed failed stage mount failed: it broke /run/page\n"


def test_command_that_fails_or_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rounds.command("exit 3", FAILED, PASSED) == "exit 3: ended with 3"
    monkeypatch.setattr(rounds, "SECONDS", 0.2)
    assert rounds.command("sleep 60", FAILED, PASSED) == "sleep 60: did not end within 0 s"


def test_source_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="is gone"):
        list(Saves(tmp_path / "none").each())


@pytest.fixture
def waiting(tree: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command with rounds that are made up, at its wait for a save."""
    (tree / "verdict").write_text("passed\n")
    program = [sys.executable, "-m", "tests.unit.watch_process", str(tree), f"echo $VEXLAB_VERDICT >>{tmp_path}/signs"]
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *program], cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def test_rounds_are_told_in_a_line_each_and_ctrl_c_ends_them(
    waiting: subprocess.Popen[str], tree: Path, tmp_path: Path
) -> None:
    assert waiting.stderr is not None
    assert re.fullmatch(r"\d\d:\d\d:\d\d . passed: as it is written\n", waiting.stderr.readline())
    # The system may tell of one write twice: that is a round more, or one with the next save.
    lines = iter(waiting.stderr.readline, "")
    (tree / "verdict").write_text("failed\n")
    assert "failed: verdict: as it is written" in next(line for line in lines if "passed: verdict: " not in line)
    (tree / "kernel" / "super.c").touch()
    line = next(line for line in lines if "failed: verdict: " not in line)
    assert re.search(r"failed: super\.c(, verdict)?: as it is written", line)
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    end = ["vexlab: not watching any more; the guest stays up", "  → vexlab down takes it down"]
    assert [line for line in told.splitlines() if "failed: super.c: " not in line] == end
    assert (tmp_path / "signs").read_text() == "failed\n"
