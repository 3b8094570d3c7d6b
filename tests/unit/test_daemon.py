"""A program that runs as long as a module is loaded: one that doesn't start, doesn't end or dies is told as that.

systemd is a few lines of shell here, which keep in a file whether the unit runs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import daemon as of_the_module
from ansible_collections.vexfs.vexlab.plugins.modules import daemon as daemon_module

from plugins.module_utils import daemon
from plugins.module_utils.daemon import DaemonError
from tests.unit import modules
from vexlab.guest.inside import daemon as in_the_guest

PROGRAMS = {
    "systemd-run": 'test "$START" != refused || { echo "no such directory" >&2; exit 1; }\necho "$START" >"$STATE"',
    "systemctl": """case "$1 $2" in
        is-active*) cat "$STATE" ;;
        stop*) echo inactive >"$STATE" ;;
        "show --property=Result") echo "$RESULT" ;;
        show*) echo ExecMainCode=1; echo ExecMainStatus=7 ;;
    esac""",
    "journalctl": "echo cannot find; echo the device",
}


@pytest.fixture(autouse=True)
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of these names, first in PATH; returns the file that has the unit's state."""
    (tmp_path / "bin").mkdir()
    for name, script in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    state = tmp_path / "state"
    state.write_text("inactive\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(state))
    monkeypatch.setenv("START", "active")
    monkeypatch.setenv("RESULT", "success")
    monkeypatch.setattr(daemon, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(daemon, "STARTED_SECONDS", 0.1)
    return state


def test_it_is_started_once_and_stopped_once() -> None:
    assert in_the_guest.state() == "the daemon was not started"
    assert daemon.start("toyd", "/", "toy")
    assert not daemon.start("toyd", "/", "toy")
    assert in_the_guest.state() == "running"
    assert daemon.stop()
    assert not daemon.stop()
    assert in_the_guest.state() == "the daemon was not started"


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("failed", "`toyd` ended right after its start, with exit code 7: cannot find the device"),
        ("inactive", "`toyd` ended right after its start, with exit code 7: cannot find the device"),
        ("refused", "`toyd` can't be started: no such directory"),
    ],
)
def test_it_does_not_start(monkeypatch: pytest.MonkeyPatch, start: str, said: str) -> None:
    monkeypatch.setenv("START", start)
    with pytest.raises(DaemonError, match=said):
        daemon.start("toyd", "/", "toy")
    assert in_the_guest.state() == "the daemon was not started"


def test_it_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.start("toyd", "/", "toy")
    monkeypatch.setenv("RESULT", "timeout")
    with pytest.raises(DaemonError, match="did not end within 15 s of SIGTERM, and was killed"):
        daemon.stop()


def test_it_dies(systemd: Path) -> None:
    """Neither a stop nor a new start hides that: the module that it belongs to is not unloaded."""
    daemon.start("toyd", "/", "toy")
    systemd.write_text("failed\n")
    said = "the daemon ended by itself, with exit code 7: cannot find the device"
    assert in_the_guest.state() == said
    with pytest.raises(AssertionError, match=said):
        in_the_guest.before_unload("toy")
    in_the_guest.before_unload("another")


def test_it_is_stopped_and_started_with_its_module(systemd: Path) -> None:
    """One that was loaded without it, to see what comes of a parameter, is unloaded without it."""
    daemon.start("toyd", "/", "kernel")  # which /sys/module always has
    in_the_guest.before_unload("kernel")
    assert systemd.read_text() == "inactive\n"
    in_the_guest.before_unload("kernel")
    in_the_guest.after_load()
    assert in_the_guest.state() == "running"


def test_without_one_nothing_is_done() -> None:
    in_the_guest.after_load()
    in_the_guest.before_unload("toy")
    assert daemon.known() == {}


@pytest.mark.parametrize(("state", "change"), [("started", True), ("stopped", False)])
def test_module_tells_in_check_mode_what_it_would_do(systemd: Path, state: str, change: bool) -> None:
    answer = modules.run("daemon", {"state": state, "command": "toyd"}, check=True)
    assert (answer["failed"], answer["changed"], systemd.read_text()) == (False, change, "inactive\n")


def test_module_fails_in_the_words_of_the_program(tmp_path: Path) -> None:
    """The record in /run is real here, so it is not let get that far: systemd is not there at all."""
    answer = modules.run("daemon", {"command": "toyd"}, env={"PATH": str(tmp_path)})
    said = (
        "the daemon `toyd` can't be looked after: systemctl: No such file or directory; it is a unit of systemd, which"
    )
    assert answer["msg"].startswith(said)


def test_module_starts_and_stops_it_once(systemd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no record of a program that nobody is to start any more."""
    record = tmp_path / "of-the-module.json"
    monkeypatch.setattr(of_the_module, "RECORD", record)
    monkeypatch.setattr(of_the_module, "STARTED_SECONDS", 0.1)
    inputs = {"command": "toyd", "directory": "/", "module": "toy"}
    changed = [daemon_module.apply(inputs | {"state": "started"}, check=False) for _ in range(2)]
    assert (changed, systemd.read_text(), record.exists()) == ([True, False], "active\n", True)
    changed = [daemon_module.apply(inputs | {"state": "stopped"}, check=False) for _ in range(2)]
    assert (changed, systemd.read_text(), record.exists()) == ([True, False], "inactive\n", False)
