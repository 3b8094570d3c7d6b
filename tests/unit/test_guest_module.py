"""Module guest, as far as it comes without starting a guest."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from tests.unit import modules
from vexlab.guest.lab import started


def inputs(directory: Path, **other: object) -> dict[str, object]:
    image = directory / "image"
    image.mkdir(exist_ok=True)
    for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
        (image / name).touch()
    given: dict[str, object] = {
        "lab": "x", "directory": str(directory / "lab"), "runtime_directory": str(directory / "run" / "x"),
        "image": str(image), "memory_mb": 512, "cpus": 1, "accelerator": "tcg", "ssh_port": 2222, "source": "",
        "mount_tag": "t", "kernel_arguments": "", "boot_deadline": 5, "warm": False,
        "disks": [],
    }  # fmt: skip
    return given | other


def tools(directory: Path, qemu: str) -> dict[str, str]:
    """A PATH in which QEMU is this script."""
    (directory / "bin").mkdir()
    path = directory / "bin" / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\n{qemu}\n")
    path.chmod(0o755)
    return {"PATH": f"{directory / 'bin'}:{os.environ['PATH']}"}


def test_old_qemu_is_refused(tmp_path: Path) -> None:
    path = tools(tmp_path, "echo 'QEMU emulator version 5.2.0 (Debian)'")
    answer = modules.run("guest", inputs(tmp_path), env=path)
    assert answer["failed"]
    assert "QEMU 5.2.0 is too old" in answer["msg"]


def test_qemu_that_does_not_start_is_quoted_and_leaves_nothing(tmp_path: Path) -> None:
    script = "[ \"$1\" = --version ] && echo 'QEMU emulator version 8.2.0' && exit 0; echo 'no such board' >&2; exit 1"
    (tmp_path / "image").mkdir()
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "image" / "disk.qcow2"), "1M"], check=True
    )
    answer = modules.run("guest", inputs(tmp_path), env=tools(tmp_path, script))
    assert answer["failed"]
    assert "no such board" in answer["msg"]
    left = {path.name for path in (tmp_path / "lab").iterdir()}
    assert left <= {"guest.lock", "qemu.log", "inventory"}


def test_long_runtime_directory_is_refused(tmp_path: Path) -> None:
    runtime = str(tmp_path / ("x" * 80) / "run")
    answer = modules.run("guest", inputs(tmp_path, runtime_directory=runtime))
    assert answer["failed"]
    assert "too long for sockets" in answer["msg"]


def test_missing_source_is_refused(tmp_path: Path) -> None:
    answer = modules.run("guest", inputs(tmp_path, source="/nowhere"))
    assert answer["failed"]
    assert "/nowhere is missing or unreadable" in answer["msg"]


def test_plan_changes_nothing(tmp_path: Path) -> None:
    answer = modules.run("guest", inputs(tmp_path), check=True)
    assert (answer["changed"], answer["reason"]) == (True, "there was no guest")
    assert not (tmp_path / "lab").exists()


def test_stranger_with_the_pid_is_left_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    stranger = subprocess.Popen(["sleep", "100"])
    try:
        (lab / "qemu.pid").write_text(f"{stranger.pid}\n")
        (lab / "guest.json").write_text(json.dumps({"uuid": "7b0c", "pid": stranger.pid, "state": "ready"}))
        for check in (True, False):
            assert modules.run("guest", inputs(tmp_path, state="stopped"), check=check)["changed"] is False
        assert stranger.poll() is None
        assert not (lab / "qemu.pid").exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_destroy_twice(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    absent = inputs(tmp_path, state="absent")
    assert modules.run("guest", absent, check=True)["changed"] is True
    assert modules.run("guest", absent)["changed"] is True
    assert modules.run("guest", absent)["changed"] is False
    assert modules.run("guest", absent, check=True)["changed"] is False


def test_signal_ends_the_start_and_what_it_started(tmp_path: Path) -> None:
    """QEMU runs and does not answer yet; it has written no pid either, by which it could be found later."""
    version = '[ "$1" = --version ] && echo \'QEMU emulator version 8.2.0\' && exit 0; [ "$1" = -sandbox ] && exit 1'
    path = tools(tmp_path, f'{version}\necho $$ >"{tmp_path}/pid"; exec sleep 300')
    given = inputs(tmp_path, boot_deadline=100)
    (tmp_path / "image" / "disk.qcow2").unlink()
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "image" / "disk.qcow2"), "1M"], check=True
    )
    process = subprocess.Popen(
        [*modules.command("guest"), modules.arguments(given)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | path,
    )  # fmt: skip
    began = time.monotonic()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None
        assert time.monotonic() - began < 60
        time.sleep(0.02)
    process.terminate()
    said, complaint = process.communicate(timeout=30)
    assert json.loads(said)["msg"] == "the work on the guest of lab x was ended by SIGTERM", complaint
    assert not started(int((tmp_path / "pid").read_text()))
    assert {path.name for path in (tmp_path / "lab").iterdir()} <= {"guest.lock", "qemu.log", "inventory"}
