"""Owners, permissions and times."""

from __future__ import annotations

import pytest
from guest import Lab
from inside import metadata
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


@pytest.fixture(scope="module")
def kept(lab: Lab, mounted: Scratch) -> dict[str, str]:
    """The claimed ones of all that was set, as it is after a remount."""
    claimed = [name for name, setting in metadata.SETTINGS.items() if setting.capability in lab.capabilities]
    return mounted.call(metadata.keep, claimed)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.requires(kept.capability)) for name, kept in metadata.SETTINGS.items()],
)
def test_it_is_kept(kept: dict[str, str], name: str) -> None:
    """A bit that is lost locks people out, one that appears lets them in; make and rsync go by times."""
    assert kept[name] == name.partition(" ")[2]


@pytest.mark.requires("permissions", "directories")
def test_permissions_are_enforced(mounted: Scratch) -> None:
    """For somebody who isn't root."""
    assert mounted.call(metadata.try_as_nobody) == {
        "become nobody": "done", "read": "EACCES", "create": "EACCES", "unlink": "EACCES", "chmod": "EPERM",
        "create where it is allowed": "done", "owner": 65534,
    }  # fmt: skip


@pytest.mark.requires("permissions", "directories")
def test_umask_and_setgid_directory_apply(mounted: Scratch) -> None:
    """New files take the umask, and in a directory with setgid the directory's group."""
    assert mounted.call(metadata.umask_and_setgid) == {"file": ["640", 1234], "sub": ["2750", 1234]}


@pytest.mark.requires("timestamps")
def test_write_moves_the_time(mounted: Scratch) -> None:
    """A changed file that looks old is not built, and not backed up."""
    modified, changed, clock = mounted.call(metadata.times_of_a_write)
    assert clock - 30 <= modified <= clock + 1
    assert clock - 30 <= changed <= clock + 1


@pytest.mark.requires("timestamps", "directories")
def test_new_entry_moves_the_time_of_its_directory(mounted: Scratch) -> None:
    """Whoever watches a directory by its time sees what is made and removed in it."""
    assert mounted.call(metadata.times_of_a_directory) == {"file made": True, "file removed": True}
