"""What of a contract has to be taken down before it can be something else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vexlab.config import settings
from vexlab.config.settings import Options, Settings
from vexlab.guest.lab import Lab
from vexlab.run import brought_about


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose filesystem was brought about with the defaults."""
    lab = Lab("one", tmp_path / "one")
    lab.directory.mkdir()
    lab.write_inventory(settings.make("one", Options()), sys.executable)
    brought_about.remember(lab)
    return lab


def contract(**changes: object) -> dict[str, object]:
    """The defaults, but for these variables of the contract."""
    return settings.make("one", Options()).contract | {f"vexlab_{name}": value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, []),
        ({"memory_mb": 1024, "cpus": 1}, []),  # the guest's own affair
        ({"device_size_mb": 99}, ["vexlab_device_size_mb"]),
        ({"module_parameters": "debug=1"}, ["vexlab_module_parameters"]),
        ({"mount_point": "/mnt/other", "mount_options_rw": "rw,sync"},
         ["vexlab_mount_options_rw", "vexlab_mount_point"]),
        ({"mkfs_command": "mkfs {{ x }}"}, ["vexlab_mkfs_command"]),
    ],
)  # fmt: skip
def test_what_the_roles_went_by_is_told(lab: Lab, changes: dict[str, object], differing: list[str]) -> None:
    assert brought_about.differing(lab, contract(**changes)) == differing


def test_words_of_then_are_kept_when_the_lab_gets_others(lab: Lab) -> None:
    lab.write_inventory(Settings("one", lab.directory, contract(mount_point="/mnt/other")), sys.executable)
    assert brought_about.differing(lab, contract()) == []
    brought_about.remember(lab)
    assert brought_about.differing(lab, contract()) == ["vexlab_mount_point"]


def test_lab_of_which_nothing_is_known_has_nothing_to_take_down(tmp_path: Path) -> None:
    assert brought_about.differing(Lab("two", tmp_path / "two"), contract(device_size_mb=99)) == []
