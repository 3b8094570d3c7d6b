"""What a saved guest is good for: exactly the machine that it was saved on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import qemu, ssh, warm
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import GuestError, LabFiles

INPUTS: dict[str, Any] = {
    "lab": "x", "directory": "/labs/x", "runtime_directory": "/run/x", "image": "/images/1", "memory_mb": 2048,
    "cpus": 2, "accelerator": "tcg", "ssh_port": 2222, "source": "/home/me/fs", "mount_tag": "t",
    "kernel_arguments": "", "boot_deadline": 300, "warm": True, "checkpoint": "", "from_checkpoint": False, "disks": [],
}  # fmt: skip
QEMU = "7.2.22"


def key(version: str = QEMU, chosen: str = "tcg", **other: Any) -> str:
    return warm.key(LabFiles(INPUTS | other), version, chosen)


@pytest.mark.parametrize(
    "other",
    [
        {"lab": "y", "directory": "/labs/y", "runtime_directory": "/run/y"},
        {"ssh_port": 3333},
        {"source": "/other/tree"},
        {"disks": [{"serial": "A", "size_mb": 8}]},
    ],
    ids=["lab", "port", "source", "disks"],
)
def test_labs_share_a_state(other: dict[str, Any]) -> None:
    assert key(**other) == key()


@pytest.mark.parametrize(
    "other",
    [{"memory_mb": 1024}, {"cpus": 1}, {"source": ""}, {"kernel_arguments": "quiet"}, {"mount_tag": "u"}],
    ids=["memory", "cpus", "no share", "kernel arguments", "mount tag"],
)
def test_another_machine_needs_another_state(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_another_qemu_needs_another_state() -> None:
    assert key(version="8.2.0") != key()


def test_another_accelerator_needs_another_state() -> None:
    assert key(chosen="kvm") != key()


@pytest.mark.parametrize(
    ("version", "restored", "threads"),
    [("7.2.22", False, "single"), ("8.0.5", None, "single"), ("8.1.0", False, "multi"), ("7.2.22", True, "multi")],
    ids=["saved", "booted", "newer", "restored"],
)
def test_kernel_boots_on_one_thread_where_more_are_not_safe(
    monkeypatch: pytest.MonkeyPatch, version: str, restored: bool | None, threads: str
) -> None:
    monkeypatch.setattr(qemu, "qemu_version", lambda: version)
    memory = None if restored is None else qemu.Memory(Path("/memory"), shared=not restored, restored=restored)
    command = qemu.command_line(LabFiles(INPUTS), Path("/images/1"), "u", "tcg", memory=memory)
    assert f"tcg,thread={threads}" in command


@pytest.mark.parametrize(("chosen", "is_emulated"), [("tcg", True), ("kvm", False)])
def test_emulation_is_made_lighter_and_a_target_has_the_last_word(chosen: str, is_emulated: bool) -> None:
    inputs = INPUTS | {"kernel_arguments": "transparent_hugepage=always"}
    command = qemu.command_line(LabFiles(inputs), Path("/images/1"), "u", chosen)
    words = command[command.index("-append") + 1].split()
    assert (qemu.LIGHTER_EMULATION in " ".join(words)) is is_emulated
    assert words[-1] == "transparent_hugepage=always"


@pytest.mark.parametrize(
    ("console", "dead"),
    [
        (b"[    3.030327] Kernel panic - not syncing: Fatal exception in interrupt\r\n", True),
        (b"[    3.030327] Booting paravirtualized kernel on bare hardware\r\n", False),
    ],
)
def test_kernel_that_died_is_not_waited_for(tmp_path: Path, console: bytes, dead: bool) -> None:
    lab = LabFiles(INPUTS | {"directory": str(tmp_path)})
    lab.console.write_bytes(b"[    0.000000] Linux version 6.12\r\n" + console)
    if not dead:
        ssh.see_that_it_lives(lab, lambda: True)
        return
    with pytest.raises(GuestError, match=r"kernel died while it started(.|\n)*Fatal exception"):
        ssh.see_that_it_lives(lab, lambda: True)
