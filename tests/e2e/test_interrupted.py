"""Ctrl-C, kills and a second command in the middle of a run: nothing is left, and the next run works."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.e2e.harness import Vexlab, wait_until
from vexlab.guest.lab import started


def guest_state(vexlab: Vexlab, lab: str = "default") -> str:
    path = vexlab.labs / lab / "guest.json"
    return str(vexlab.record(lab).get("state")) if path.is_file() and path.read_text() else ""


def running(vexlab: Vexlab) -> list[Path]:
    return sorted(vexlab.runs.glob("*/stages/*")) if vexlab.runs.is_dir() else []


def test_ctrl_c_while_the_guest_boots(vexlab: Vexlab) -> None:
    process = vexlab.start("up")
    wait_until(lambda: guest_state(vexlab) == "starting" and (vexlab.labs / "default" / "qemu.pid").is_file(), process)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole group gets it
    done = vexlab.finish(process, patience=120)
    assert done.code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert vexlab.processes() == []


def test_ctrl_c_in_a_stage_and_a_second_command_meanwhile(vexlab: Vexlab) -> None:
    process = vexlab.start("up")
    wait_until(lambda: any(path.name == "structure" for path in running(vexlab)), process)
    other = vexlab("up")
    assert other.code == 2
    assert f"another vexlab command, process {process.pid}, works on lab default" in other.stderr
    process.send_signal(signal.SIGINT)
    done = vexlab.finish(process, patience=120)
    assert done.code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert vexlab.processes() == []
    documents = vexlab("runs", "--json").document
    assert documents[0]["verdict"] == "not_run"
    assert "passed" not in {stage["verdict"] for stage in documents[0]["stages"] if stage["name"] in ("mkfs", "mount")}


def test_qemu_killed_in_mid_run_is_lost(vexlab: Vexlab) -> None:
    process = vexlab.start("up")
    before = len(running(vexlab))
    wait_until(lambda: len(running(vexlab)) > before, process)
    killed = time.monotonic()
    os.kill(vexlab.record()["pid"], signal.SIGKILL)
    done = vexlab.finish(process, patience=120)
    assert done.code == 1, done.stderr
    assert time.monotonic() - killed < 60
    document = vexlab("runs", "--json").document[0]
    assert "lost" in {stage["verdict"] for stage in document["stages"]}
    assert document["verdict"] == "lost"


def test_qemu_stopped_from_outside_is_no_verdict(vexlab: Vexlab) -> None:
    """Nothing is said by a process that doesn't run: its state is what tells, long before a deadline would."""
    process = vexlab.start("up")
    before = len(running(vexlab))
    wait_until(lambda: len(running(vexlab)) > before, process)
    pid = vexlab.record()["pid"]
    stopped = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    done = vexlab.finish(process, patience=120)
    assert done.code == 3, done.stderr
    assert time.monotonic() - stopped < 60
    document = vexlab("runs", "--json").document[0]
    assert document["verdict"] == "not_run"
    assert f"QEMU, process {pid}, was stopped from outside" in done.stderr
    assert vexlab("down").code == 0
    assert not started(pid)


def test_next_up_works_and_so_does_a_second_lab(vexlab: Vexlab, source: Path) -> None:
    """Another port, another key, and neither lab disturbs the other. The source fails early, which saves the build."""
    (source / "Kbuild").unlink()
    for name in ("default", "second"):
        done = vexlab("up", "--name", name, "--source", str(source), "--json")
        assert done.code == 1, done.stderr
        assert "Kbuild is missing" in done.stage("structure")["reason"]
    states = {lab["lab"]: lab["guest"] for lab in vexlab("status", "--json").document}
    assert {guest["state"] for guest in states.values()} == {"running"}
    assert states["default"]["ssh_port"] != states["second"]["ssh_port"]
    keys = {(vexlab.labs / name / "ssh_key").read_text() for name in states}
    assert len(keys) == 2
    script = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key | sha256sum"
    assert vexlab("ssh", script).stdout != vexlab("ssh", "--name", "second", script).stdout
