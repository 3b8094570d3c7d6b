"""What a target lacks by its kind: a check that needs it is skipped with that reason, and no other one is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vexlab.config.needs import NEEDS
from vexlab.guest.testing.target import Target

STAGES = Path(__file__).parents[1] / "stages"


def lab(**fields: str) -> Target:
    """A target on a block device with a module of its own, but for what is said."""
    usual = {"target_name": "toyfs", "module_source": "build", "module_name": "toy", "device_kind": "block"}
    usual |= {"filesystem_type": "toy", "fsck_command": "", "blkid_type": ""}
    return Target({f"vexlab_{name}": value for name, value in (usual | fields).items()})


@pytest.mark.parametrize(
    ("fields", "device", "module", "loadable"),
    [
        ({}, "", "", ""),
        ({"device_kind": "none"}, "target toyfs is mounted without a device", "", ""),
        ({"device_kind": "directory"}, "target toyfs is mounted without a device", "", ""),
        ({"module_source": "kernel"}, "", "the module of target toyfs comes with the kernel", ""),
        ({"module_source": "kernel", "module_name": ""}, "", "comes with the kernel", "is no module, but a part of"),
    ],
)
def test_what_a_target_lacks_is_said(fields: dict[str, str], device: str, module: str, loadable: str) -> None:
    target = lab(**fields)
    for what, reason in {"device": device, "module": module, "loadable": loadable}.items():
        assert reason in target.lacks(what)
        assert bool(reason) == bool(target.lacks(what)), what


def test_what_mke2fs_makes_is_not_strange_to_a_module_of_another_name_for_its_format() -> None:
    assert lab(filesystem_type="myext4", blkid_type="ext4").lacks("other-than-ext4")


@pytest.mark.parametrize(
    ("kind", "lasting", "directory"), [("block", True, False), ("none", False, False), ("directory", True, True)]
)
def test_what_lasts_from_one_mount_to_the_next(kind: str, lasting: bool, directory: bool) -> None:
    """An image and a directory are there again; what is in memory is not."""
    assert (lab(device_kind=kind).lacks("lasting") == "") == lasting
    assert (lab(device_kind=kind).lacks("directory") == "") == directory


@pytest.mark.parametrize(("kind", "strange"), [("toy", True), ("ext4", False), ("ext2", False), ("ext4plus", True)])
def test_what_mke2fs_makes_is_strange_to_all_but_those_of_its_family(kind: str, strange: bool) -> None:
    """Whether a device with another filesystem is refused can't be tried with the target's own one."""
    assert (lab(filesystem_type=kind).lacks("other-than-ext4") == "") == strange


def test_each_check_that_needs_something_needs_what_can_be_told() -> None:
    """A misspelt need would never be missed, and the check would fail of a make-believe device."""
    found = subprocess.run(
        ["grep", "-rhoE", r"mark\.needs\([^)]*\)", str(STAGES), "--include=*.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    marks = set(found.stdout.split("\n")) - {""}
    assert marks
    assert marks <= {f'mark.needs("{what}")' for what in NEEDS}
