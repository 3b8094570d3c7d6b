"""Devices that return I/O errors, from the start or while they are mounted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from corruptible import Corruptible
from guest import Guest, Lab

NAME = "vexlab-corruptible"
# Tables of the device mapper, for {0} sectors of device {1}.
WORKS = "0 {0} linear {1} 0"
FAILS = "0 {0} error"
WRITES_FAIL = "0 {0} flakey {1} 0 0 3600 1 error_writes"
FAULTS = {"everything fails": FAILS, "writes fail": WRITES_FAIL}

# udev has no part in this, and waiting for it takes longer than all the rest.
DMSETUP = f"""
def dmsetup(*words):
    shell("dmsetup --noudevrules --noudevsync " + " ".join(words))
def becomes(table):
    # At once, as xfstests do it: without having the filesystem write anything before.
    dmsetup("load {NAME} --table", f"'{{table}}'")
    dmsetup("resume --noflush --nolockfs {NAME}")
def forget_cache():
    write("/proc/sys/vm/drop_caches", "3")
"""

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

# Arguments: device, module, table that fails, table that works, what to try. Answers what came of each, what had been
# synced before, what came of an fsync(2) of what was written before the device failed, and whether that is there; the
# last mount has to succeed.
FAIL_MOUNTED = """
fs.device, module, fails, works, uses = arguments
before = references(module)
fs.mount()
write("kept", "kept")
syncfs()
forget_cache()
held = os.open("held", os.O_CREAT | os.O_WRONLY)
os.write(held, b"held" * 25000)
becomes(fails)
synced = outcome(os.fsync, held)
os.close(held)
told, tell = os.pipe()
fork = os.fork()  # which takes the files that it opened along when it ends
if fork == 0:
    os.write(tell, json.dumps({name: attempt(statement) for name, statement in uses.items()}).encode())
    os._exit(0)
os.waitpid(fork, 0)
fs.unmount()
becomes(works)
after = references(module)
fs.mount()
kept, there = (read(name) if os.path.exists(name) else "" for name in ("kept", "held"))
fs.unmount()
answer([json.loads(os.read(told, 65536)), kept, synced, there == "held" * 25000, [before, after]])
"""

# The same for a read-only mount, whose reads fail.
FAIL_READ_ONLY = """
fs.device, module, fails, works, uses = arguments
before = references(module)
fs.mount(fs.read_only_options)
forget_cache()
becomes(fails)
for statement in uses.values():
    attempt(statement)
fs.unmount()
becomes(works)
fs.mount(fs.read_only_options)
for root, directories, files in os.walk("."):
    for name in files:
        open(os.path.join(root, name), "rb").read()
fs.unmount()
answer([before, references(module)])
"""


# Argument: the table. Answers the device.
CREATE = f"""
import glob
dmsetup("create {NAME} --table", f"'{{arguments[0]}}'")
[name] = [path for path in glob.glob("/sys/block/dm-*/dm/name") if read(path).strip() == "{NAME}"]
answer("/dev/" + name.split("/")[3])
"""


@dataclass(frozen=True)
class Mapped:
    """A device of the device mapper, and the table with which it works."""

    device: str
    works: str


@pytest.fixture
def mapped(guest: Guest, corruptible: Corruptible) -> Iterator[Mapped]:
    """The whole filesystem behind the device mapper."""
    corruptible.trial("whole", mounts=[corruptible.lab.mount_options_ro]).must_be_safe()
    guest.ok("modprobe -a dm-mod dm-flakey")
    works = WORKS.format(corruptible.size // 512, corruptible.device)
    yield Mapped(corruptible.run(f"{DMSETUP}{CREATE}", works), works)
    # It fails when the filesystem still holds the device.
    leave = "os.chdir('/')\nfor _ in mounts(fs.point): umount(fs.point)\n"
    corruptible.run(f"{DMSETUP}{leave}dmsetup('remove --retry {NAME}')")


@pytest.mark.parametrize("working", [0, 64, 2048], ids=["nothing", "64 KiB", "2 MiB"])
def test_device_of_which_only_the_start_works(corruptible: Corruptible, mapped: Mapped, working: int) -> None:
    """A mount that can't read what it needs is refused; one that could is safe to use, with errors."""
    start = f"0 {working * 2} linear {corruptible.device} 0\n" if working else ""
    corruptible.run(
        f"{DMSETUP}becomes(arguments[0])", f"{start}{working * 2} {corruptible.size // 512 - working * 2} error"
    )
    outcome = corruptible.trial(f"only {working} KiB work", device=mapped.device)
    outcome.must_be_safe()
    if not working:
        outcome.must_be_refused()


@pytest.mark.requires("read-write")
@pytest.mark.parametrize("fault", FAULTS)
def test_device_that_fails_while_it_is_mounted(lab: Lab, corruptible: Corruptible, mapped: Mapped, fault: str) -> None:
    """fsync never says that what wasn't written is safe; it unmounts; and what was safe before still is."""
    fails = FAULTS[fault].format(corruptible.size // 512, corruptible.device)
    arguments = (mapped.device, lab.module_name, fails, mapped.works, USES)
    came_of, kept, synced, there, (before, after) = corruptible.run(f"{DMSETUP}{FAIL_MOUNTED}", *arguments, seconds=120)
    assert after == before, f"the module's use count went from {before} to {after}"
    if "sync" in lab.capabilities:
        lied = [name for name in ("write and fsync", "overwrite and fdatasync") if came_of[name] == "done"]
        assert not lied, f"no write reached the device, and these succeeded: {', '.join(lied)}"
        if "persistent" in lab.capabilities:
            assert kept == "kept"
            assert there or synced != "done", "fsync succeeded, and what had been written before it is gone"


def test_reads_fail_while_it_is_mounted_read_only(lab: Lab, corruptible: Corruptible, mapped: Mapped) -> None:
    """Errors for whoever reads, and nothing worse; it unmounts, and works when the device does."""
    fails = FAILS.format(corruptible.size // 512, corruptible.device)
    reads = {name: USES[name] for name in ("list", "read")}
    arguments = (mapped.device, lab.module_name, fails, mapped.works, reads)
    before, after = corruptible.run(f"{DMSETUP}{FAIL_READ_ONLY}", *arguments, seconds=120)
    assert after == before, f"the module's use count went from {before} to {after}"
