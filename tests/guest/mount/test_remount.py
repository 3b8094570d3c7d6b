"""mount -o remount."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "remount")


def change(guest: Guest, scratch: Scratch, options: str) -> str:
    """Remount with these options; the first option that the mount has then."""
    guest.ok(f"mount -o remount,{options} {scratch.point}")
    return guest.ok(f"findmnt -n -o FS-OPTIONS --mountpoint {scratch.point}").split(",")[0]


def test_read_only_and_back(guest: Guest, lab: Lab, mounted: Scratch) -> None:
    """How an administrator stops writes without a reboot, and lets them go on."""
    guest.ok(f"echo before >{mounted.point}/file")
    assert change(guest, mounted, lab.mount_options_ro) == "ro"
    assert guest.attempts(mounted.point, {"write": "os.open('file', os.O_WRONLY)", "make": "os.mkdir('d')"}) == {
        "write": "EROFS",
        "make": "EROFS",
    }
    assert guest.ok(f"cat {mounted.point}/file") == "before"
    assert change(guest, mounted, lab.mount_options_rw) == "rw"
    guest.ok(f"echo after >>{mounted.point}/file")
    mounted.remount()
    assert guest.ok(f"cat {mounted.point}/file") == "before\nafter"


def test_becoming_read_only_writes_what_is_dirty(guest: Guest, lab: Lab, mounted: Scratch) -> None:
    """After it the device can be copied or switched off; nothing more is written, and nothing was left in memory."""
    guest.ok(f"echo dirty >{mounted.point}/dirty")
    change(guest, mounted, lab.mount_options_ro)
    before = mounted.digest()
    mounted.unmount()
    assert mounted.digest() == before
    mounted.mount(lab.mount_options_ro)
    found = guest.ok(f"cat {mounted.point}/dirty")
    mounted.remount()
    assert found == "dirty"


def test_refused_while_a_file_is_open_for_writing(guest: Guest, lab: Lab, mounted: Scratch) -> None:
    """The writer would lose what it believes it can write."""
    guest.refuses(
        f"cd {mounted.point}; exec 5>writing; mount -o remount,{lab.mount_options_ro} {mounted.point}", because="busy"
    )
    guest.ok(f"echo on >{mounted.point}/writing")
