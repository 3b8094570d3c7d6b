"""When a command refused, and when it crashed."""

from __future__ import annotations

import subprocess

import pytest

from vexlab.guest.testing.result import Result, refused
from vexlab.guest.testing.target import Target


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


def mkfs_that_refuses_with(*codes: int) -> Target:
    return Target({"vexlab_mkfs_refusal_codes": list(codes)})


@pytest.mark.parametrize(("codes", "code"), [((), 255), ((1, 137), 1), ((1, 137), 137), ((126,), 126)])
def test_mkfs_refuses_with_the_codes_that_the_target_names(codes: tuple[int, ...], code: int) -> None:
    """A shell takes 137 for SIGKILL; a target can say that its mkfs means something else by it."""
    mkfs_that_refuses_with(*codes).mkfs_refused("mkfs", (code, "", "in use"))


@pytest.mark.parametrize(
    ("codes", "code", "said"),
    [
        ((), 137, "a signal ended it"),
        ((1, 137), 0, "should have been refused"),
        ((1, 137), 139, "a signal ended it"),
        ((1, 137), 2, "`mkfs` ended with 2, and it refuses with 1 or 137: in use"),
    ],
)
def test_mkfs_that_ends_otherwise_did_not_refuse(codes: tuple[int, ...], code: int, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        mkfs_that_refuses_with(*codes).mkfs_refused("mkfs", (code, "", "in use"))
