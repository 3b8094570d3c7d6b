"""What a saved guest is good for: exactly the machine that it was saved on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roles.vexlab_guest.files import warm
from roles.vexlab_guest.files.lab import Lab

INPUTS: dict[str, Any] = {
    "lab": "x", "directory": "/labs/x", "runtime_directory": "/run/x", "image": "/images/1", "memory_mb": 2048,
    "cpus": 2, "accelerator": "tcg", "ssh_port": 2222, "source": "/home/me/fs", "mount_tag": "t",
    "kernel_arguments": "", "boot_deadline": 300, "warm": True, "disks": [],
}  # fmt: skip
QEMU = "7.2.22"


def key(version: str = QEMU, chosen: str = "tcg", **other: Any) -> str:
    return warm.key(Lab(INPUTS | other), version, chosen)


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


def test_state_whose_files_are_not_the_saved_ones_is_none(tmp_path: Path) -> None:
    """Truncated, replaced or touched: each counts, without reading gigabytes."""
    for name in warm.FILES:
        (tmp_path / name).write_bytes(b"x" * 100)
    warm._write_manifest(tmp_path)
    assert warm._is_whole(tmp_path)
    with (tmp_path / "memory").open("r+b") as memory:
        memory.truncate(50)
    assert not warm._is_whole(tmp_path)


def test_state_that_never_restored_is_not_tried_again(tmp_path: Path) -> None:
    warm._write_manifest(tmp_path, "it crashed")
    with pytest.raises(warm.WarmError, match="it crashed; it was tried"):
        warm._is_whole(tmp_path)
