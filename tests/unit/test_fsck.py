"""What the target's fsck says of a filesystem decides the check: shown what is right and what isn't, with e2fsck."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vexlab.guest.inside.fsck import examine
from vexlab.guest.testing.target import Target

LOOK = 'e2fsck -fn "$DEVICE"'


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small ext4 with a file in it."""
    path = tmp_path / "device"
    path.write_bytes(bytes(4 << 20))
    (tmp_path / "file").write_text("content")
    run("mke2fs", "-q", "-F", "-t", "ext4", str(path))
    run("debugfs", "-w", "-R", f"write {tmp_path}/file file", str(path))
    return path


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def test_filesystem_that_is_right_passes(image: Path) -> None:
    before = image.read_bytes()
    examine(str(image), LOOK)
    assert image.read_bytes() == before


def test_link_count_that_is_wrong_is_told_in_the_words_of_fsck(image: Path) -> None:
    """It mounts, and every file can be read: nothing else would see it."""
    run("debugfs", "-w", "-R", "set_inode_field file links_count 7", str(image))
    with pytest.raises(
        AssertionError, match=r"finds the filesystem wrong \(exit code 4\): .*ref count is 7, should be"
    ):
        examine(str(image), LOOK)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-fsck", r"could not look at the filesystem, it isn't there \(exit code 127\): .*no-such-fsck"),
        ("kill -SEGV $$", r"could not look at the filesystem, a signal ended it \(Segmentation fault\)"),
        ("false", r"finds the filesystem wrong \(exit code 1\): it said nothing"),
    ],
)
def test_fsck_that_is_not_there_or_dies_is_not_the_filesystems_fault(image: Path, command: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        examine(str(image), command)


def test_fsck_runs_where_the_target_was_built() -> None:
    fields = {"module_source": "build", "work_directory": "/w", "fsck_command": "./fsck $DEVICE"}
    target = Target({f"vexlab_{name}": value for name, value in fields.items()})
    assert target.fsck == "cd /w/build; ./fsck $DEVICE"
