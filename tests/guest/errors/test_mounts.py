"""Mounts that must not be: options, devices that are none, devices that can't be written, mounts on top of mounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from corruptible import Corruptible
from guest import Lab

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
def test_option_that_nobody_knows(corruptible: Corruptible, option: str) -> None:
    """A typing error in an option must not mount with the option left out."""
    mounts = [f"{options},{OPTIONS[option]}" for options in corruptible.mounts()]
    corruptible.trial(f"option {option}", mounts=mounts).must_be_refused()


@pytest.mark.parametrize("kind", NO_DEVICE)
def test_what_is_no_device(corruptible: Corruptible, kind: str) -> None:
    """With the errno that says so."""
    path, allowed = NO_DEVICE[kind]
    outcome = corruptible.trial(kind, device=path)
    outcome.must_be_safe()
    assert {tried.mount for tried in outcome.attempts} <= allowed


# Arguments: device that can't be written. Answers what came of a remount for writing, and of a write afterwards.
REMOUNT = """
fs.device = arguments[0]
fs.mount(fs.read_only_options)
came = outcome(mount, "none", fs.point, fs.kind, f"remount,{fs.options}")
answer([came, attempt("os.close(os.open('new', os.O_CREAT | os.O_WRONLY))")])
fs.unmount()
"""

# Answers what came of a second mount on the same directory, of a read-only one elsewhere, what the two showed, and
# what is there after the last one is gone and the device is mounted anew.
TWICE = """
fs.mount()
write("first", "first")
os.chdir("/")
second = fs.point + "-second"
os.makedirs(second, exist_ok=True)
seen = {}
for point, options in ((fs.point, fs.options), (second, fs.read_only_options)):
    came = outcome(mount, fs.device, point, fs.kind, options)
    seen[point] = read(f"{point}/first") if came == "done" else came
    if came == "done":
        umount(point)
os.rmdir(second)
write(f"{fs.point}/second", "second")
fs.remount()
answer([*seen.values(), sorted(set(os.listdir(fs.point)) & {"first", "second"})])
fs.unmount()
"""


@pytest.fixture
def read_only_device(corruptible: Corruptible) -> Iterator[str]:
    """A device with the filesystem on it that can't be written."""
    device: str = corruptible.run("answer(attach(arguments[0], read_only=True))", corruptible.master)
    yield device
    corruptible.run("detach(arguments[0])", device)


@pytest.mark.requires("read-write")
def test_read_only_device_mounted_for_writing(lab: Lab, corruptible: Corruptible, read_only_device: str) -> None:
    """Refused with an errno that mount(8) knows to fall back from; a read-only mount of it is fine."""
    outcome = corruptible.trial("read-only device", device=read_only_device)
    outcome.must_be_safe()
    seen = {tried.options: tried.mount for tried in outcome.attempts}
    assert seen[lab.mount_options_ro] == "done"
    assert seen[lab.mount_options_rw] in ("EACCES", "EROFS")


@pytest.mark.requires("read-write", "remount")
def test_read_only_device_made_writable_by_a_remount(corruptible: Corruptible, read_only_device: str) -> None:
    """The other way to the same: refused too, and the mount stays as it was."""
    came, wrote = corruptible.run(REMOUNT, read_only_device)
    assert (came in ("EACCES", "EROFS"), wrote) == (True, "EROFS"), f"remount: {came}, write: {wrote}"


@pytest.mark.requires("read-write")
def test_mounted_twice(lab: Lab, corruptible: Corruptible) -> None:
    """On the same directory and elsewhere, in another mode: refused, or the same filesystem. Nothing may be lost."""
    corruptible.trial("whole", mounts=[lab.mount_options_ro]).must_be_safe()
    on_top, elsewhere, kept = corruptible.run(TWICE)
    assert {on_top, elsewhere} <= {"first", "EBUSY", "EINVAL"}
    assert kept == ["first", "second"]
