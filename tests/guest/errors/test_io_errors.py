"""Devices that return I/O errors, from the start or while they are mounted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from reload import module_reloads
from victim import Victim

NAME = "vexlab-victim"
# Tables of the device mapper, for {0} sectors of device {1}.
WORKS = "0 {0} linear {1} 0"
FAILS = "0 {0} error"
WRITES_FAIL = "0 {0} flakey {1} 0 0 3600 1 error_writes"
FAULTS = {"everything fails": FAILS, "writes fail": WRITES_FAIL}

WRITE = "f = os.open({!r}, os.O_CREAT | os.O_WRONLY); os.write(f, bytes(100000)); {}"
USES = {
    "list": "os.listdir('.')",
    "read": "open('file', 'rb').read()",
    "write and fsync": WRITE.format("new", "os.fsync(f)"),
    "overwrite and fdatasync": WRITE.format("file", "os.fdatasync(f)"),
    "make a directory": "os.mkdir('made')",
    "rename": "os.rename('file', 'renamed')",
    "unlink": "os.unlink('kept')",
    "truncate": "os.truncate('kept', 1)",
}


class Mapped:
    """The victim behind the device mapper, whose table can be changed under a mount."""

    def __init__(self, guest: Guest, victim: Victim) -> None:
        """Map it as it is."""
        self._guest = guest
        self._victim = victim
        self.device = f"/dev/mapper/{NAME}"
        guest.ok(f"dmsetup create {NAME} --table '{self._table(WORKS)}'; udevadm settle")

    def _table(self, pattern: str) -> str:
        return pattern.format(self._victim.size // 512, self._victim.device)

    def becomes(self, pattern: str) -> None:
        """Change the table at once, as xfstests do: without having the filesystem write anything before."""
        swap = f"dmsetup load {NAME} --table '{self._table(pattern)}'; dmsetup resume {NAME}"
        self._guest.ok(f"dmsetup suspend --noflush --nolockfs {NAME}; {swap}")

    def mount(self, options: str = "") -> None:
        """Mount it."""
        self._guest.ok(self._victim.mount_command(options).replace(self._victim.device, self.device))

    def remove(self) -> None:
        """Take it down; fails when the filesystem still holds it."""
        self._guest.ok(f"dmsetup remove --retry {NAME}")


@pytest.fixture
def mapped(guest: Guest, victim: Victim) -> Iterator[Mapped]:
    """The whole filesystem behind the device mapper."""
    victim.trial("whole")
    guest.ok("modprobe -a dm-mod dm-flakey")
    mapping = Mapped(guest, victim)
    yield mapping
    guest.ok(f"while mountpoint -q {victim.point}; do umount {victim.point}; done")
    mapping.remove()


def references(guest: Guest, lab: Lab) -> str:
    """The module's use count."""
    return guest.ok(f"cat /sys/module/{lab.module_name}/refcnt")


@pytest.mark.parametrize("working", [0, 64, 2048], ids=["nothing", "64 KiB", "1 MiB"])
def test_device_of_which_only_the_start_works(victim: Victim, mapped: Mapped, working: int) -> None:
    """A mount that can't read what it needs is refused; one that could is safe to use, with errors."""
    start = f"0 {working * 2} linear {{1}} 0\n" if working else ""
    mapped.becomes(f"{start}{working * 2} {victim.size // 512 - working * 2} error")
    outcome = victim.trial(f"only {working} KiB work", device=mapped.device)
    outcome.must_be_safe()
    if not working:
        outcome.must_be_refused()


@pytest.mark.requires("read-write")
@pytest.mark.parametrize("fault", FAULTS)
def test_device_that_fails_while_it_is_mounted(
    guest: Guest, lab: Lab, victim: Victim, mapped: Mapped, fault: str
) -> None:
    """fsync never says that what wasn't written is safe; it unmounts; and what was safe before still is."""
    before = references(guest, lab)
    mapped.mount()
    guest.ok(f"echo kept >{victim.point}/kept; sync -f {victim.point}; echo 3 >/proc/sys/vm/drop_caches")
    mapped.becomes(FAULTS[fault])
    came_of = guest.attempts(victim.point, USES)
    guest.ok(f"umount {victim.point}", seconds=60)
    mapped.becomes(WORKS)
    assert references(guest, lab) == before
    mapped.mount()
    kept = guest.ok(f"cat {victim.point}/kept; umount {victim.point}")
    if "sync" in lab.capabilities:
        lied = [name for name in ("write and fsync", "overwrite and fdatasync") if came_of[name] == "done"]
        assert not lied, f"no write reached the device, and these succeeded: {', '.join(lied)}"
        assert kept == "kept" or "persistent" not in lab.capabilities


def test_reads_fail_while_it_is_mounted_read_only(guest: Guest, lab: Lab, victim: Victim, mapped: Mapped) -> None:
    """Errors for whoever reads, and nothing worse; it unmounts, and works when the device does."""
    before = references(guest, lab)
    mapped.mount(lab.mount_options_ro)
    guest.ok("echo 3 >/proc/sys/vm/drop_caches")
    mapped.becomes(FAILS)
    guest.attempts(victim.point, {name: USES[name] for name in ("list", "read")})
    guest.ok(f"umount {victim.point}")
    mapped.becomes(WORKS)
    mapped.mount(lab.mount_options_ro)
    guest.ok(f"ls -lR {victim.point} >/dev/null; umount {victim.point}")
    assert references(guest, lab) == before


def test_module_is_sound_afterwards(guest: Guest, lab: Lab, victim: Victim, lab_taken_down: None) -> None:
    """After all this it unloads, loads and mounts what is whole."""
    module_reloads(guest, lab)
    victim.is_whole()
