"""Answers of a guest that wishes the controller ill: they are as long as they may be, and end in time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vexlab.guest.testing import answers

ROOT = Path(__file__).parents[2]
# Asks an agent that is whatever `ssh` in PATH is; tells what came of it, and the most memory that it took, in KiB.
ASK = """
import json, resource
from vexlab.guest.testing import connection
connection.TRANSFER_SECONDS = 10.0
try:
    agent = connection.Agent({"ansible_host": "nowhere"})
    came = agent.ask({"script": "true", "seconds": 1})
except (connection.UnusableError, OSError) as problem:
    came = f"{type(problem).__name__}: {problem}"
print(json.dumps({"came": came, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""
HELLO = "echo '{\"ready\": 1}'; read inside; read order\n"
ANSWER = {"code": 0, "stdout": "x" * 1000, "stderr": "", "kernel": [], "warnings": [], "lost": 0}
PEER_ANSWER = json.dumps(ANSWER)


def ask(directory: Path, guest: str, code: str = "") -> tuple[object, int]:
    """What an agent with this shell script behind its connection comes to, and the memory that it took in MiB."""
    program = directory / "ssh"
    program.write_text(f"#!/bin/sh\n{HELLO}{guest}\n")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code or ASK], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT,
        env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"},
    )  # fmt: skip
    told = json.loads(done.stdout)
    if code:
        return told, 0
    return told["came"], told["kib"] >> 10


def test_answer_arrives(tmp_path: Path) -> None:
    came, _ = ask(tmp_path, f"echo '{PEER_ANSWER}'; sleep 1")
    assert came == ANSWER | {"outcome": {}}


def test_answer_in_parts_arrives(tmp_path: Path) -> None:
    came, _ = ask(tmp_path, f"printf '%s' '{PEER_ANSWER[:500]}'; sleep 0.5; echo '{PEER_ANSWER[500:]}'; sleep 1")
    assert came == ANSWER | {"outcome": {}}


def test_gigabyte_without_an_end_is_not_taken_in(tmp_path: Path) -> None:
    came, mib = ask(tmp_path, "head -c 1000000000 /dev/zero")
    assert came == "LostError: the guest's answer is longer than 64 MiB"
    assert mib < 400


def test_half_an_answer_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    came, _ = ask(tmp_path, "printf '{'; exec sleep 60")
    assert str(came).startswith("HungError: the guest did not answer")
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("stream", ["1", "2"])
def test_agent_keeps_begin_and_end_of_what_a_command_writes(stream: str) -> None:
    code = (
        "import sys, json; from vexlab.guest.testing import agent; "
        "runner = agent.Runner(); print(json.dumps(runner.run({'script': sys.argv[1], 'seconds': 60})))"
    )
    script = f"(echo begin; head -c 50000000 /dev/zero | tr '\\0' x; echo end) >&{stream}"
    orders, somebody_who_waits = os.pipe()  # at the end of its orders the agent ends too
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, script], cwd=ROOT, stdin=orders, capture_output=True, text=True, check=True,
            timeout=120,
        )  # fmt: skip
    finally:
        os.close(orders)
        os.close(somebody_who_waits)
    said = json.loads(done.stdout)[{"1": "stdout", "2": "stderr"}[stream]]
    assert said.startswith("begin\nxxx")
    assert said.endswith("xend\n")
    assert "bytes left out]" in said
    assert len(said) < (4 << 20) + 100


RAISED: dict[str, Any] = {"type": "OSError", "message": "m", "where": []}
WHERE = ["f (vexlab/guest/inside/x.py:1)", "g (vexlab/guest/inside/y.py:2)"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no JSON", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("[" * 100000, "it is nested too deeply"),
        (json.dumps(ANSWER | {"code": "0"}), "its code has the wrong type"),
        (json.dumps(ANSWER | {"code": True}), "its code has the wrong type"),
        (json.dumps(ANSWER | {"kernel": [1]}), "its kernel has the wrong type"),
        (json.dumps(ANSWER | {"stdout": None}), "its stdout has the wrong type"),
        (json.dumps(ANSWER | {"run": "rm -rf /"}), "it has an unknown field 'run'"),
        (json.dumps({"code": 0}), "kernel, lost, stderr, stdout, warnings is missing"),
        (json.dumps(ANSWER | {"outcome": "1"}), "it is no JSON object"),
        (json.dumps(ANSWER | {"outcome": "{"}), "it is no JSON"),
        (json.dumps(ANSWER | {"outcome": '{"other": 1}'}), "its outcome is neither a value nor an exception"),
        (json.dumps(ANSWER | {"outcome": json.dumps({"value": 1, "raised": RAISED})}), "its outcome is neither"),
        (
            json.dumps(ANSWER | {"outcome": json.dumps({"raised": RAISED | {"where": [1]}})}),
            "its outcome is no exception",
        ),
        (json.dumps(ANSWER | {"outcome": json.dumps({"raised": {"type": "X"}})}), "its outcome is no exception"),
    ],
)
def test_what_is_no_answer_is_not_believed(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        answers.checked(line.encode())


def test_no_answer_makes_the_guest_lost(tmp_path: Path) -> None:
    came, _ = ask(tmp_path, "echo '[]'; sleep 1")
    assert came == "LostError: what the guest answered is no answer: it is no JSON object"


LONG = RAISED | {
    "message": f"[Errno 36] Too long: 'a' -> '{'b' * 200}'",
    "where": ["on (vexlab/guest/inside/filesystem.py:30)", "<lambda> (vexlab/guest/inside/x.py:1)", *WHERE],
}
SIZE = "Bytes of a file or of a block device"  # how the docstring of images.size_of begins

# Has the guest call a function, and tells what came of it.
CALL = """
import json
import pytest
from vexlab.config.installation import contract_defaults
from vexlab.guest.inside import images
from vexlab.guest.testing import guest
try:
    came = guest.Guest(contract_defaults() | {"ansible_host": "nowhere"}).call(images.size_of, "/some/file", seconds=1)
except pytest.fail.Exception as problem:
    came = str(problem)
print(json.dumps(came))
"""


@pytest.mark.parametrize(
    ("message", "limits", "said"),
    [
        ("[Errno 28] No space left on device: 'x'", {"files": 64, "file_bytes": 1 << 40}, "files 64"),
        ("[Errno 28] No space left on device", {"files": 64, "file_bytes": 4096}, "files 64 or file_bytes 4096"),
        ("[Errno 28] No space left on device", {"file_bytes": 4 << 30, "name_bytes": 28}, ""),
        ("[Errno 36] File name too long: 'x'", {"name_bytes": 28}, "name_bytes 28"),
        ("[Errno 5] Input/output error", {"files": 64}, ""),
        ("anything", {"files": 64}, ""),
    ],
)
def test_error_that_a_small_limit_explains(message: str, limits: dict[str, Any], said: str) -> None:
    """A check whose amounts are fixed is no judge of a filesystem that says that it has less."""
    assert answers.beyond_a_limit(RAISED | {"message": message}, limits) == said


@pytest.mark.parametrize(
    ("change", "came"),
    [
        ({"outcome": '{"value": 7}'}, 7),
        ({"code": 124}, f"{SIZE}: it did not end within 1 s"),
        ({"code": 124, "where": "python3 in x"}, f"{SIZE}: it did not end within 1 s; python3 in x"),
        (
            {"code": 139, "stderr": "last words"},
            f"{SIZE}: the process that did it is gone, a signal ended it (Segmentation fault): last words",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": RAISED | {"type": "AssertionError"}})}, "m",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": RAISED | {"where": WHERE}})},
            f"{SIZE}: OSError: m, in {', '.join(WHERE)}",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": RAISED | {"message": "[Errno 28] No space left: 'a b'"}})},
            f"{SIZE}: ENOSPC (No space left) for a b",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": LONG})},
            f"{SIZE}: ENAMETOOLONG (Too long) for a to {'b' * 95}…, in {', '.join(WHERE)}",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": RAISED | {"message": "[Errno 27] File too large"}})},
            f"{SIZE}: EFBIG (File too large)",
        ),
        (
            {"code": 1, "outcome": json.dumps({"raised": RAISED | {"message": "[Errno 0] `false` failed with 1"}})},
            f"{SIZE}: `false` failed with 1",
        ),
    ],
    ids=[
        "value", "deadline", "place", "crash", "assertion", "exception",
        "errno of a path", "two paths", "errno", "no errno",
    ],
)  # fmt: skip
def test_what_a_call_comes_to_is_said_in_words(tmp_path: Path, change: dict[str, Any], came: object) -> None:
    (tmp_path / "answer").write_text(json.dumps(ANSWER | change) + "\n")
    assert ask(tmp_path, f"cat {tmp_path}/answer; sleep 1", CALL)[0] == came


# A target's check runs mkfs in the guest, and then a check of ours wants more files than there is room for.
MKFS_AND_CALL = """
import json
import pytest
from vexlab.config.installation import contract_defaults
from vexlab.guest.inside import images
from vexlab.guest.testing import guest
there = guest.Guest(contract_defaults() | {"ansible_host": "nowhere"})
there.run("mkfs")
try:
    there.returned("images.size_of", ["x"], 1, "files", limits={})
except (pytest.fail.Exception, pytest.skip.Exception) as problem:
    print(json.dumps(type(problem).__name__))
"""


def test_mkfs_that_prints_a_limit_turns_no_failure_into_a_skip(tmp_path: Path) -> None:
    full = {"code": 1, "outcome": json.dumps({"raised": RAISED | {"message": "[Errno 28] No space left: 'x'"}})}
    told = [ANSWER | {"stdout": "vexlab limit: files 3\n"}, ANSWER | full]
    (tmp_path / "answer").write_text("".join(json.dumps(answer) + "\n" for answer in told))
    guest = f"sed -n 1p {tmp_path}/answer; read -r _; sed -n 2p {tmp_path}/answer; sleep 1"
    assert ask(tmp_path, guest, MKFS_AND_CALL)[0] == "Failed"
