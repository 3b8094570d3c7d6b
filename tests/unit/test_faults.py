"""The document about injected faults tells of each of them, and hides none that went wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Done
from tests.faults import document, fault, leftovers
from tests.faults.fault import Fault, Seen


def inject(site: object) -> Done:
    return Done(0, "", "")


ONE = Fault("a | b", "kill -9", inject, verdict="lost", exit_code=1)
KNOWN: dict[str, tuple[Fault, ...]] = {"guest": (ONE,)}


def seen(**changed: object) -> Seen:
    usual = {"topic": "guest", "title": "a | b", "how": "kill -9", "verdict": "lost", "exit_code": 1}
    return Seen(**usual | {"leftovers": (), "next_up": "passed", "wrong": ()} | changed)  # type: ignore[arg-type]


def test_document_has_every_fault() -> None:
    """It is made by `make faults`, or for a new fault by python -m tests.faults.document."""
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert text == document.render(document.faults(), fault.read(fault.SEEN))
    for group in document.faults().values():
        for one in group:
            assert f"| {one.title} | {one.how} |" in text


def test_titles_are_unique() -> None:
    for group in document.faults().values():
        assert len({one.title for one in group}) == len(group)


def test_fault_that_nobody_ran_says_so() -> None:
    text = document.render(KNOWN, {})
    assert "| a \\| b | kill -9 |  |  |  |  | not run yet |" in text
    assert "1 faults, 0 of them as wanted" in text


def test_what_was_seen_last_counts(tmp_path: Path) -> None:
    record = tmp_path / "seen.jsonl"
    seen(wrong=("exit code 0, not 1",), exit_code=0).write(record)
    assert "| lost | 0 | nothing | passed | no: exit code 0, not 1 |" in document.render(KNOWN, fault.read(record))
    seen().write(record)
    text = document.render(KNOWN, fault.read(record))
    assert "| lost | 1 | nothing | passed | yes |" in text
    assert "1 faults, 1 of them as wanted" in text


def test_leftovers_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with the home in its environment, a socket, a temporary file, a half-written one."""
    monkeypatch.setattr(leftovers, "PATIENCE", 0.0)
    (tmp_path / "r").mkdir()
    (tmp_path / "t").mkdir()
    assert leftovers.find(tmp_path) == ()
    (tmp_path / "t" / "vexlab-x").mkdir()
    (tmp_path / "t" / "file").touch()
    (tmp_path / "a.partial").touch()
    # A short name: the path of a socket has 107 bytes.
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("r/s")
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], env=os.environ | {"PLACE": f"{tmp_path}/x"}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    try:
        port = child.stdout.readline().strip()
        found = leftovers.find(tmp_path)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()
    assert [line for line in found if line.startswith(f"process {child.pid}: ")]
    for line in (f"port {port} of process {child.pid}", "socket r/s", "file t/file", "directory t/vexlab-x"):
        assert line in found
    assert "half-written file a.partial" in found
    assert leftovers.find(tmp_path) == tuple(line for line in found if str(child.pid) not in line)
