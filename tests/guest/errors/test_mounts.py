"""Mounts that must not be: options, devices that are none, devices that can't be written, mounts on top of mounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from reload import module_reloads
from victim import Victim

OPTIONS = {
    "unknown": "vexlab-no-such-option",
    "unknown with a value": "vexlab-no-such-option=1",
    "long": "x" * 3000,
    "not even text": "\x01\x02",
}
NO_DEVICE = {
    "missing": ("/dev/vexlab-no-such-device", {"ENOENT"}),
    "file": ("/etc/hostname", {"ENOTBLK"}),
    "directory": ("/etc", {"ENOTBLK", "EISDIR"}),
    "character device": ("/dev/null", {"ENOTBLK"}),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_option_that_nobody_knows(victim: Victim, option: str) -> None:
    """A typing error in an option must not mount with the option left out."""
    mounts = [f"{options},{OPTIONS[option]}" for options in victim.mounts()]
    victim.trial(f"option {option}", mounts=mounts).must_be_refused()


@pytest.mark.parametrize("kind", NO_DEVICE)
def test_what_is_no_device(victim: Victim, kind: str) -> None:
    """With the errno that says so."""
    path, allowed = NO_DEVICE[kind]
    outcome = victim.trial(kind, device=path)
    outcome.must_be_refused()
    assert {tried.mount for tried in outcome.attempts} <= allowed


@pytest.fixture
def read_only_device(guest: Guest, victim: Victim) -> Iterator[str]:
    """A device with the filesystem on it that can't be written."""
    device = guest.ok(f"losetup --find --show --read-only {victim.master}")
    yield device
    guest.ok(f"losetup -d {device}")


@pytest.mark.requires("read-write")
def test_read_only_device_mounted_for_writing(lab: Lab, victim: Victim, read_only_device: str) -> None:
    """Refused with an errno that mount(8) knows to fall back from; a read-only mount of it is fine."""
    outcome = victim.trial("read-only device", device=read_only_device)
    outcome.must_be_safe()
    seen = {tried.options: tried.mount for tried in outcome.attempts}
    assert seen[lab.mount_options_ro] == "done"
    assert seen[lab.mount_options_rw] in ("EACCES", "EROFS")


@pytest.mark.requires("read-write", "remount")
def test_read_only_device_made_writable_by_a_remount(
    guest: Guest, lab: Lab, victim: Victim, read_only_device: str
) -> None:
    """The other way to the same: refused too, and the mount stays as it was."""
    mounted = victim.mount_command(lab.mount_options_ro).replace(victim.device, read_only_device)
    guest.ok(mounted)
    try:
        guest.refuses(f"mount -o remount,{lab.mount_options_rw} {victim.point}")
        assert guest.attempts(victim.point, {"write": "os.open('new', os.O_CREAT | os.O_WRONLY)"}) == {"write": "EROFS"}
    finally:
        victim.unmount()


@pytest.mark.requires("read-write")
def test_mounted_twice(guest: Guest, lab: Lab, victim: Victim) -> None:
    """On the same directory and elsewhere, in another mode: refused, or the same filesystem. Nothing may be lost."""
    second = f"{victim.point}-second"
    options = lab.mount_options()
    victim.trial("whole")
    victim.mount()
    guest.ok(f"mkdir {second}; echo first >{victim.point}/first")
    try:
        attempts = {
            victim.point: guest.run(victim.mount_command(options)),
            second: guest.run(victim.mount_command(lab.mount_options_ro, second)),
        }
        for point, done in attempts.items():
            assert done.code in (0, 32), done.said
            if done.code == 0:
                guest.ok(f"[ $(cat {point}/first) = first ]; umount {point}")
        guest.ok(f"echo second >{victim.point}/second; umount {victim.point}; {victim.mount_command(options)}")
        assert guest.ok(f"cat {victim.point}/second") == "second" or "persistent" not in lab.capabilities
    finally:
        leave = "while mountpoint -q {0}; do umount {0}; done; "
        guest.ok(leave.format(second) + leave.format(victim.point) + f"rmdir {second}")


def test_module_is_sound_afterwards(guest: Guest, lab: Lab, victim: Victim, lab_taken_down: None) -> None:
    """After all this it unloads, loads and mounts what is whole."""
    module_reloads(guest, lab)
    victim.is_whole()
