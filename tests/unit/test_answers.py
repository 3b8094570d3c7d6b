"""Answers of a guest that wishes the controller ill: they are as long as they may be, and end in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

GUEST = Path(__file__).parents[1] / "guest"
# Asks an agent that is whatever `ssh` in PATH is; tells what came of it, and the most memory that it took, in KiB.
ASK = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import guest
guest.TRANSFER_SECONDS = 2.0
try:
    agent = guest.Agent({"ansible_host": "nowhere"})
    came = agent.ask({"script": "true", "seconds": 1})
except (guest.UnusableError, OSError) as problem:
    came = f"{type(problem).__name__}: {problem}"
print(json.dumps({"came": came, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""
HELLO = "echo '{\"ready\": 1}'; read inside; read order\n"
PEER_ANSWER = json.dumps({"code": 0, "stdout": "x" * 1000, "stderr": "", "kernel": [], "warnings": []})


def ask(directory: Path, guest: str) -> tuple[object, int]:
    """What an agent with this shell script behind its connection comes to, and the memory that it took in MiB."""
    program = directory / "ssh"
    program.write_text(f"#!/bin/sh\n{HELLO}{guest}\n")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(GUEST)], capture_output=True, text=True, check=True, timeout=120,
        env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"},
    )  # fmt: skip
    told = json.loads(done.stdout)
    return told["came"], told["kib"] >> 10


def test_answer_arrives(tmp_path: Path) -> None:
    came, _ = ask(tmp_path, f"echo '{PEER_ANSWER}'; sleep 1")
    assert came == json.loads(PEER_ANSWER)


def test_answer_in_parts_arrives(tmp_path: Path) -> None:
    came, _ = ask(tmp_path, f"printf '%s' '{PEER_ANSWER[:500]}'; sleep 0.5; echo '{PEER_ANSWER[500:]}'; sleep 1")
    assert came == json.loads(PEER_ANSWER)


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
        "import sys, json; sys.path.insert(0, sys.argv[1]); import agent; from types import ModuleType; "
        "runner = agent.Runner({}); print(json.dumps(runner.run({'script': sys.argv[2], 'seconds': 60})))"
    )
    script = f"(echo begin; head -c 50000000 /dev/zero | tr '\\0' x; echo end) >&{stream}"
    orders, somebody_who_waits = os.pipe()  # at the end of its orders the agent ends too
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(GUEST), script], stdin=orders, capture_output=True, text=True, check=True,
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
