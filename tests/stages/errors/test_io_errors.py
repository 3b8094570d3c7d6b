"""Devices that return I/O errors, from the start or while they are mounted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from vexlab.guest.inside import device_faults
from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.needs("device")

# Tables of the device mapper, for {0} sectors of device {1}.
WORKS = "0 {0} linear {1} 0"
FAILS = "0 {0} error"
WRITES_FAIL = "0 {0} flakey {1} 0 0 3600 1 error_writes"
FAULTS = {"everything fails": FAILS, "writes fail": WRITES_FAIL}


@dataclass(frozen=True)
class Mapped:
    """A device of the device mapper, and the table with which it works."""

    device: str
    works: str


@pytest.fixture
def mapped(guest: Guest, corruptible: Corruptible) -> Iterator[Mapped]:
    """The whole filesystem behind the device mapper."""
    corruptible.trial("whole", mounts=[corruptible.target.mount_options_ro]).must_be_safe()
    guest.ok("modprobe -a dm-mod dm-flakey")
    works = WORKS.format(corruptible.size // 512, corruptible.device)
    yield Mapped(guest.call(device_faults.create, works), works)
    corruptible.call(device_faults.remove)


@pytest.mark.parametrize("working", [0, 64, 2048], ids=["nothing", "64 KiB", "2 MiB"])
def test_device_of_which_only_the_start_works(corruptible: Corruptible, mapped: Mapped, working: int) -> None:
    """A mount that can't read what it needs is refused; one that could is safe to use, with errors."""
    start = f"0 {working * 2} linear {corruptible.device} 0\n" if working else ""
    fails = f"{working * 2} {corruptible.size // 512 - working * 2} error"
    corruptible.guest.call(device_faults.becomes, start + fails)
    outcome = corruptible.trial(f"only {working} KiB work", device=mapped.device)
    outcome.must_be_safe()
    if not working:
        outcome.must_be_refused()


@pytest.mark.requires("read-write")
@pytest.mark.parametrize("fault", FAULTS)
def test_device_that_fails_while_it_is_mounted(
    target: Target, corruptible: Corruptible, mapped: Mapped, fault: str
) -> None:
    """fsync never says that what wasn't written is safe; it unmounts; and what was safe before still is."""
    fails = FAULTS[fault].format(corruptible.size // 512, corruptible.device)
    arguments = (mapped.device, target.module_name, fails, mapped.works)
    seen = corruptible.call(device_faults.fail_under_a_writable_mount, *arguments, seconds=120)
    came_of, kept, synced, there, (before, after) = seen
    assert after == before, f"the module's use count went from {before} to {after}"
    if "sync" in target.capabilities:
        lied = [name for name in ("write and fsync", "overwrite and fdatasync") if came_of[name] == "done"]
        assert not lied, f"no write reached the device, and these succeeded: {', '.join(lied)}"
        if "persistent" in target.capabilities:
            assert kept == "kept", f"synced before the device failed, a file reads {quoted(kept)} after it"
            assert there or synced != "done", "fsync succeeded, and what had been written before it is gone"


def test_reads_fail_while_it_is_mounted_read_only(target: Target, corruptible: Corruptible, mapped: Mapped) -> None:
    """Errors for whoever reads, and nothing worse; it unmounts, and works when the device does."""
    fails = FAILS.format(corruptible.size // 512, corruptible.device)
    arguments = (mapped.device, target.module_name, fails, mapped.works)
    before, after = corruptible.call(device_faults.fail_under_a_read_only_mount, *arguments, seconds=120)
    assert after == before, f"the module's use count went from {before} to {after}"
