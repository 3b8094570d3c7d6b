"""A command that goes on for as long as somebody asks for it, as module `leased` begins and ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit import modules

SCRIPT = "echo working >&2; trap 'echo interrupted; exit 7' INT; sleep 60 & echo $$ $! >pids; wait"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """That of a command, which is over when the test is."""
    yield tmp_path / "leased"
    modules.run("leased", {"state": "absent", "directory": str(tmp_path / "leased"), "seconds": 30})


def begin(directory: Path, script: str, patience: int = 60, **environment: str) -> dict[str, Any]:
    values = {"command": ["bash", "-c", script], "environment": environment, "patience": patience}
    return modules.run("leased", {"state": "started", "directory": str(directory), **values})


def ask(directory: Path, seconds: int = 0) -> dict[str, Any]:
    return modules.run("leased", {"state": "asked", "directory": str(directory), "seconds": seconds})


def until(condition: Callable[[], bool], patience: float = 20) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pids(directory: Path) -> list[int]:
    until(lambda: (directory / "pids").is_file() and (directory / "pids").read_text().endswith("\n"))
    return [int(word) for word in (directory / "pids").read_text().split()]


def test_last_of_many_words_begins_with_a_line(directory: Path) -> None:
    """And it is told how many are before that, by which who asks knows what is new."""
    begin(directory, "seq 100000 >&2; printf end >&2")
    until(lambda: not ask(directory, 5)["running"])
    found = ask(directory)
    lines = found["said"].split("\n")
    assert int(lines[0]) == found["left_out"] + 1
    assert (lines[-2:], len(lines) > 1000) == (["100000", "end"], True)


def test_what_it_said_and_answered_is_told_when_it_has_ended(directory: Path) -> None:
    assert begin(directory, 'echo "$WORD"; echo said >&2; exit 3', WORD="answer")["changed"]
    until(lambda: not ask(directory, 5)["running"])
    found = ask(directory)
    assert (found["answer"], found["said"], found["code"], found["why"]) == ("answer\n", "said\n", 3, "")
    assert found["free_mb"] > 0


def test_question_waits_for_something_new_and_no_longer_than_it_may(directory: Path) -> None:
    begin(directory, "sleep 1; echo new >&2; sleep 60")
    until(lambda: ask(directory, 10)["said"] == "new\n")
    began = time.monotonic()
    assert ask(directory, 1)["running"]
    assert time.monotonic() - began >= 1


def test_command_that_nobody_asks_for_is_ended_by_itself(directory: Path) -> None:
    """Who asked was killed, or the link is cut: no connection tells its machine of it."""
    begin(directory, SCRIPT, patience=2)
    shell, _ = pids(directory)
    for _ in range(4):  # longer than its patience
        assert ask(directory, 1)["running"]
    until(lambda: not is_alive(shell))
    found = ask(directory)
    assert (found["running"], found["code"], found["why"]) == (False, 7, "nobody asked for it for 2 s")
    assert found["answer"] == "interrupted\n"


def test_command_is_ended_when_it_is_told_to_and_its_directory_goes(directory: Path) -> None:
    begin(directory, SCRIPT)
    shell, _ = pids(directory)
    assert modules.run("leased", {"state": "absent", "directory": str(directory), "seconds": 30})["changed"]
    assert not is_alive(shell)
    assert not directory.exists()
    assert not modules.run("leased", {"state": "absent", "directory": str(directory), "seconds": 30})["changed"]


def test_command_ends_with_its_keeper(directory: Path) -> None:
    begin(directory, SCRIPT)
    shell, _ = pids(directory)
    keeper = int(Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not is_alive(shell))
    found = ask(directory)
    assert (found["running"], found["code"]) == (False, None)


def test_two_commands_have_two_directories(directory: Path) -> None:
    begin(directory, "sleep 60")
    again = begin(directory, "true")
    assert again["failed"]
    assert "is there already" in again["msg"]


def test_nothing_that_was_begun_and_nothing_to_start_is_told(directory: Path) -> None:
    assert "nothing was begun in" in ask(directory)["msg"]
    values = {"state": "started", "directory": str(directory), "command": ["/no/such/program"]}
    modules.run("leased", values)
    until(lambda: not ask(directory)["running"])
    assert ask(directory)["why"] == "/no/such/program can't be started: No such file or directory"
