"""Owners, permissions and times."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# What is set, on a file of that name; how; how it is shown: permissions, owner, and time to the second.
SET = {
    **{f"mode {mode}": (f"chmod {mode}", "%a", "permissions") for mode in ("0", "644", "4755", "2711", "1777")},
    **{f"owner {who}": (f"chown {who}", "%u:%g", "permissions") for who in ("1000:100", "70000:4000000000")},
    **{f"time {when}": (f"touch -d @{when}", "%Y", "timestamps") for when in (1, 1_234_567_890, 2_000_000_000)},
}

# Gives up root for good before it tries.
AS_NOBODY = "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"


@pytest.fixture(scope="module")
def kept(guest: Guest, lab: Lab, mounted: Scratch) -> dict[str, str]:
    """The claimed ones of all that was set, as it is after a remount."""
    claimed = [
        (name, setter, shown) for name, (setter, shown, capability) in SET.items() if capability in lab.capabilities
    ]
    guest.ok(f"cd {mounted.point}; " + "; ".join(f"echo x >'{name}'; {setter} '{name}'" for name, setter, _ in claimed))
    mounted.remount()
    shown = guest.ok(f"cd {mounted.point}; " + "; ".join(f"stat -c {shown} '{name}'" for name, _, shown in claimed))
    return dict(zip([name for name, _, _ in claimed], shown.splitlines(), strict=True))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.requires(capability)) for name, (_, _, capability) in SET.items()]
)
def test_it_is_kept(kept: dict[str, str], name: str) -> None:
    """A bit that is lost locks people out, one that appears lets them in; make and rsync go by times."""
    assert kept[name] == name.partition(" ")[2]


@pytest.mark.requires("permissions", "directories")
def test_permissions_are_enforced(guest: Guest, mounted: Scratch) -> None:
    """For somebody who isn't root."""
    guest.ok(
        f"cd {mounted.point}; mkdir -m 755 closed; mkdir -m 777 open; echo x >closed/secret; chmod 600 closed/secret; "
        "chmod 755 ."
    )
    outcome = guest.attempts(
        mounted.point,
        {
            "become nobody": AS_NOBODY,
            "read": "os.open('closed/secret', os.O_RDONLY)",
            "create": "os.open('closed/new', os.O_CREAT | os.O_WRONLY)",
            "unlink": "os.unlink('closed/secret')",
            "chmod": "os.chmod('closed/secret', 0o777)",
            "create where it is allowed": "os.open('open/new', os.O_CREAT | os.O_WRONLY)",
        },
    )
    assert outcome == {
        "become nobody": "done", "read": "EACCES", "create": "EACCES", "unlink": "EACCES", "chmod": "EPERM",
        "create where it is allowed": "done",
    }  # fmt: skip
    assert guest.ok(f"stat -c %u {mounted.point}/open/new") == "65534"


@pytest.mark.requires("permissions", "directories")
def test_umask_and_setgid_directory_apply(guest: Guest, mounted: Scratch) -> None:
    """New files take the umask, and in a directory with setgid the directory's group."""
    make = "mkdir group; chgrp 1234 group; chmod 2775 group; umask 027; echo x >group/file; mkdir group/sub"
    guest.ok(f"cd {mounted.point}; {make}")
    mounted.remount()
    seen = guest.ok(f"cd {mounted.point}/group; stat -c '%a %g' file sub").split()
    assert seen == ["640", "1234", "2750", "1234"]


@pytest.mark.requires("timestamps")
def test_write_moves_the_time(guest: Guest, mounted: Scratch) -> None:
    """A changed file that looks old is not built, and not backed up."""
    now = "stat -c '%Y %Z' moved; date +%s"
    seen = guest.ok(f"cd {mounted.point}; echo x >moved; touch -d @1000 moved; echo y >>moved; {now}").split()
    modified, changed, clock = map(int, seen)
    assert clock - 30 <= modified <= clock + 1
    assert clock - 30 <= changed <= clock + 1


@pytest.mark.requires("timestamps", "directories")
def test_new_entry_moves_the_time_of_its_directory(guest: Guest, mounted: Scratch) -> None:
    """Whoever watches a directory by its time sees what is made and removed in it."""
    step = "touch -d @1000 watched; {}; [ $(stat -c %Y watched) -gt 1000 ]"
    guest.ok(f"cd {mounted.point}; mkdir watched; {step.format('echo >watched/new')}; {step.format('rm watched/new')}")
