"""What a target has done around each mount: in order, for its own type alone, and told when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from vexlab.guest.inside import around_mounts
from vexlab.guest.testing.target import Target

NAMES = ("before_mount_command", "mount_options_command", "after_unmount_command")


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(around_mounts, "RECORD", tmp_path / "record.json")
    return tmp_path / "record.json"


def set_up(kind: str, *commands: str) -> None:
    around_mounts.set_up(kind, dict(zip(NAMES, commands, strict=True)))


def test_commands_know_what_is_mounted_and_where(tmp_path: Path) -> None:
    said = tmp_path / "said"
    tell = f'echo "%s $DEVICE $MOUNT" >>{said}'
    set_up("toy", tell % "before", "echo key=7,size=9", tell % "after")
    assert around_mounts.before("toy", "/dev/loop3", "/mnt/it's") == "key=7,size=9"
    around_mounts.after("toy", "/dev/loop3", "/mnt/it's")
    assert said.read_text() == "before /dev/loop3 /mnt/it's\nafter /dev/loop3 /mnt/it's\n"


def test_mount_of_another_type_is_left_alone() -> None:
    """ext4 is mounted by the checks too, and so is the guest's own root."""
    set_up("toy", "exit 3", "exit 3", "exit 3")
    assert around_mounts.before("ext4", "/dev/loop3", "/mnt") == ""
    around_mounts.after("ext4", "/dev/loop3", "/mnt")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "vexlab_before_mount_command ended with 3: no key"),
        (1, "vexlab_mount_options_command ended with 3: no key"),
        (2, "vexlab_after_unmount_command ended with 3: no key"),
    ],
)
def test_command_that_fails_is_told(number: int, said: str) -> None:
    set_up("toy", *("echo no key >&2; exit 3" if place == number else "" for place in range(3)))
    with pytest.raises(AssertionError, match=said):
        around_mounts.before("toy", "/dev/loop3", "/mnt")
        around_mounts.after("toy", "/dev/loop3", "/mnt")


def test_options_are_one_word() -> None:
    set_up("toy", "", "echo key=7 size=9", "")
    with pytest.raises(AssertionError, match="printed more than one word: key=7 size=9"):
        around_mounts.before("toy", "/dev/loop3", "/mnt")


def test_target_without_commands_leaves_none_of_an_earlier_one(record: Path) -> None:
    set_up("toy", "exit 3", "", "")
    set_up("toy", "", "", "")
    assert not record.exists()
    assert around_mounts.before("toy", "/dev/loop3", "/mnt") == ""


def test_commands_run_where_the_target_was_built() -> None:
    fields = {"module_source": "build", "work_directory": "/w"} | dict(zip(NAMES, ("./key", "", "./gone"), strict=True))
    target = Target({f"vexlab_{name}": value for name, value in fields.items()})
    assert target.around_mounts == {NAMES[0]: "cd /w/build; ./key", NAMES[1]: "", NAMES[2]: "cd /w/build; ./gone"}
