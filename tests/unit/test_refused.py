"""When a command refused, and when it crashed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "guest"))

from guest import Result, refused


def run(command: str) -> Result:
    """As agent.py runs it in the guest."""
    done = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, check=False)
    return Result(command, done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("code", [1, 2, 32, 123, 125, 128, 160, 200, 254, 255])
def test_exit_code_of_its_own_is_a_refusal(code: int) -> None:
    """exit(-1), which is 255, is how many a mkfs refuses."""
    assert refused(run(f"echo 'not this one' >&2; exit {code}"), "not this one").code == code


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'kill -SEGV $$'", "Segmentation fault"),
        ("sh -c 'kill -ABRT $$'; true", "Aborted"),
        ("kill -KILL $$", "Killed"),
        ("/nonexistent/mkfs", "it isn't there"),
        ("/etc/passwd", "it can't be executed"),
        ("exit 124", "it did not end in time"),
    ],
)
def test_crash_is_no_refusal(command: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        refused(run(command))


def test_success_is_no_refusal() -> None:
    with pytest.raises(AssertionError, match="should have been refused"):
        refused(run("true"))
