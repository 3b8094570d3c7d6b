"""Directories that another user must not get at: another real user tries, in a place where everybody may write."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.accelerator import kvm_problem
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import (
    GuestError,
    LabFiles,
    runtime_directory,
)
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.private import private_directory

from vexlab.errors import HostProblem
from vexlab.guest import lab as lab_record

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user")


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """The name of another user of this machine."""
    name = f"vexlab-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--system", "--no-create-home", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True, capture_output=True)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory like /tmp, where another user gets at."""
    with tempfile.TemporaryDirectory(prefix="vexlab-", dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o1777)
        yield place


def as_user(name: str, *command: str | Path) -> None:
    subprocess.run(["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups", *command], check=True)


@only_root
@pytest.mark.parametrize("below", ["", "run", "run/lab"])
def test_directory_of_somebody_else_is_refused_wherever_it_is(shared: Path, other: str, below: str) -> None:
    """The one above decides what is below it, so the last component isn't enough."""
    theirs = shared / "vexlab-0"
    as_user(other, "mkdir", "-m", "777", theirs)
    with pytest.raises(GuestError, match=re.escape(f"{theirs} belongs to user {other}")) as told:
        private_directory(theirs / below if below else theirs)
    assert "XDG_RUNTIME_DIR" in told.value.hint
    assert list(theirs.iterdir()) == []


@only_root
@pytest.mark.parametrize("below", ["", "run/lab"])
def test_link_of_somebody_else_is_not_written_through(shared: Path, other: str, below: str, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o755)
    link = shared / "vexlab-0"
    as_user(other, "ln", "-s", ours, link)
    with pytest.raises(GuestError, match=re.escape(f"{link} is a link, which user {other} made")):
        private_directory(link / below if below else link)
    assert list(ours.iterdir()) == []
    assert ours.stat().st_mode & 0o777 == 0o755


@only_root
def test_link_inside_a_directory_of_ours_is_not_written_through(shared: Path, other: str, tmp_path: Path) -> None:
    """A directory of ours that was left open to all: what is in it is theirs."""
    (shared / "vexlab-0").mkdir()
    (shared / "vexlab-0").chmod(0o777)
    with pytest.raises(GuestError, match=r"vexlab-0 can be written by everybody"):
        private_directory(shared / "vexlab-0" / "vexlab" / "lab")


def test_directory_of_a_group_is_refused(tmp_path: Path) -> None:
    groups = [group for group in (os.getgroups() if os.geteuid() else [4, 5]) if group not in (0, os.getegid())]
    if not groups:
        pytest.skip("this user is in no other group")
    place = tmp_path / "group"
    place.mkdir()
    os.chown(place, -1, groups[0])
    place.chmod(0o770)
    with pytest.raises(GuestError, match=f"can be written by group {groups[0]}"):
        private_directory(place / "lab")


def test_own_link_is_named(tmp_path: Path) -> None:
    """One of ours in a directory that root doesn't own, or everybody may write, is no proof of anything."""
    (tmp_path / "there").mkdir()
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o1777)
    (place / "link").symlink_to(tmp_path / "there")
    with pytest.raises(GuestError, match="link is a link"):
        private_directory(place / "link" / "lab")


@only_root
def test_link_that_only_root_can_make_is_followed(tmp_path: Path) -> None:
    """Such as /var/run, or a home that is somewhere else."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    private_directory(tmp_path / "link" / "lab")
    assert (tmp_path / "there" / "lab").stat().st_mode & 0o777 == 0o700


@only_root
def test_links_in_a_ring_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(GuestError, match="is a link"):
        private_directory(tmp_path / "one")


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GuestError, match="file is not a directory"):
        private_directory(tmp_path / "file" / "lab")


def test_missing_ones_are_made_for_us_alone(shared: Path) -> None:
    private_directory(shared / "vexlab" / "run" / "lab")
    assert [path.stat().st_mode & 0o777 for path in sorted(shared.rglob("*"))] == [0o700] * 3


@only_root
def test_runtime_directory_that_sudo_kept_is_not_taken(
    shared: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(other, "mkdir", "-m", "700", shared / "1000")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared / "1000"))
    assert runtime_directory("", Path("/labs/x")).is_relative_to("/tmp/vexlab-0/vexlab")


@only_root
def test_lab_is_not_made_where_somebody_else_could_exchange_it(shared: Path, other: str) -> None:
    """Neither is its lock, which is the first that a command writes."""
    as_user(other, "mkdir", "-m", "755", shared / "theirs")
    theirs = lab_record.Lab("mine", shared / "theirs" / "labs" / "mine")
    with pytest.raises(HostProblem, match=f"theirs belongs to user {other}"), theirs.held():
        pytest.fail("it was held")
    assert not list((shared / "theirs").iterdir())


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="there is no KVM to be told about")
def test_answer_that_somebody_left_in_a_shared_directory_is_not_believed(shared: Path) -> None:
    lab = LabFiles({"lab": "x", "directory": str(shared / "d"), "runtime_directory": str(shared / "x")})
    private_directory(lab.runtime)
    kvm_problem(lab, "7.2")
    assert not list(shared.glob("kvm-probe-*"))
    assert list(lab.runtime.glob("kvm-probe-*"))
