"""Owners, permissions and times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vexlab.guest.inside import metadata
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write")


@pytest.fixture(scope="module")
def kept(target: Target, mounted: Scratch) -> dict[str, list[str]]:
    """The claimed ones of all that was set, as each is at once and after a remount."""
    claimed = [name for name, setting in metadata.SETTINGS.items() if setting.capability in target.capabilities]
    return mounted.call(metadata.keep, claimed)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.requires(kept.capability)) for name, kept in metadata.SETTINGS.items()],
)
def test_it_is_kept(kept: dict[str, list[str]], target: Target, advise: Callable[[str], None], name: str) -> None:
    """A bit that is lost locks people out, one that appears lets them in; make and rsync go by times."""
    wrong, remark = metadata.wrong(name, kept[name], target.limits)
    assert not wrong, wrong
    if remark:
        advise(remark)


@pytest.mark.requires("permissions", "directories")
def test_permissions_are_enforced(mounted: Scratch) -> None:
    """Modes hold for somebody who isn't root: what they don't allow is refused."""
    wanted = {
        "become nobody": "done", "read": "EACCES", "create": "EACCES", "unlink": "EACCES", "chmod": "EPERM",
        "create where it is allowed": "done", "owner": "65534",
    }  # fmt: skip
    for what, came in mounted.call(metadata.try_as_nobody).items():
        assert came == wanted[what], (
            f"nobody tried this in a directory of root: {what}: {came}, expected {wanted[what]}"
        )


@pytest.mark.requires("permissions", "directories")
def test_umask_and_setgid_directory_apply(mounted: Scratch) -> None:
    """New files take the umask, and in a directory with setgid the directory's group."""
    wanted = {"file": ["640", metadata.GROUP], "sub": ["2750", metadata.GROUP]}
    for name, (mode, group) in mounted.call(metadata.umask_and_setgid).items():
        assert [mode, group] == wanted[name], (
            f"{name}, made with umask 027 in a directory with setgid and group {metadata.GROUP}: "
            f"mode {mode} and group {group}, expected {wanted[name][0]} and {wanted[name][1]}"
        )


@pytest.mark.requires("timestamps")
def test_write_moves_the_time(mounted: Scratch) -> None:
    """A changed file that looks old is not built, and not backed up."""
    modified, changed, clock = mounted.call(metadata.times_of_a_write)
    for name, when in (("mtime", modified), ("ctime", changed)):
        assert clock - 30 <= when <= clock + 1, f"{name} after a write: {when}, and the clock says {clock}"


@pytest.mark.requires("timestamps", "directories")
def test_new_entry_moves_the_time_of_its_directory(mounted: Scratch) -> None:
    """Whoever watches a directory by its time sees what is made and removed in it."""
    for what, has_moved in mounted.call(metadata.times_of_a_directory).items():
        assert has_moved, f"{what} in a directory: the directory's mtime has not moved"
