"""Mounts that must not be: options, devices that are none, devices that can't be written, mounts on top of mounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vexlab.guest.inside import images, refused_mounts
from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed, quoted

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


NO_DIRECTORY = {
    "missing": ("/var/lib/vexlab-no-such-directory", {"ENOENT"}),
    "file": ("/etc/hostname", {"ENOTDIR", "EINVAL"}),
    "device": ("/dev/null", {"ENOTDIR", "EINVAL"}),
}


def must_be_told(corruptible: Corruptible, kind: str, path: str, allowed: set[str]) -> None:
    """Assert that a mount of what can't be mounted is refused with an errno that says so."""
    outcome = corruptible.trial(kind, device=path)
    outcome.must_be_safe()
    for tried in outcome.attempts:
        assert tried.mount in allowed, f"mount of {path}: {tried.mount}, expected {' or '.join(sorted(allowed))}"


@pytest.mark.parametrize("option", OPTIONS)
def test_option_that_nobody_knows(corruptible: Corruptible, option: str) -> None:
    """A typing error in an option must not mount with the option left out."""
    mounts = [f"{options},{OPTIONS[option]}" for options in corruptible.mounts()]
    corruptible.trial(f"option {option}", mounts=mounts).must_be_refused()


@pytest.mark.needs("device")
@pytest.mark.parametrize("kind", NO_DEVICE)
def test_what_is_no_device(corruptible: Corruptible, kind: str) -> None:
    """What is no device is refused, with the errno that says so."""
    must_be_told(corruptible, kind, *NO_DEVICE[kind])


@pytest.mark.needs("directory")
@pytest.mark.parametrize("kind", NO_DIRECTORY)
def test_what_is_no_directory(corruptible: Corruptible, kind: str) -> None:
    """What is no directory can't be lain over: it is refused, and the errno says why."""
    must_be_told(corruptible, kind, *NO_DIRECTORY[kind])


@pytest.fixture
def read_only_device(corruptible: Corruptible) -> Iterator[str]:
    """A device with the filesystem on it that can't be written."""
    device = corruptible.guest.call(images.attach, corruptible.master, True)
    yield device
    corruptible.guest.call(images.detach, device)


@pytest.mark.needs("device")
@pytest.mark.requires("read-write")
def test_read_only_device_mounted_for_writing(target: Target, corruptible: Corruptible, read_only_device: str) -> None:
    """Refused with an errno that mount(8) knows to fall back from; a read-only mount of it is fine."""
    outcome = corruptible.trial("read-only device", device=read_only_device)
    outcome.must_be_safe()
    seen = {tried.options: tried.mount for tried in outcome.attempts}
    came = seen[target.mount_options_ro]
    assert came == "done", f"mount of a read-only device with {target.mount_options_ro}: {came}"
    came = seen[target.mount_options_rw]
    assert came in ("EACCES", "EROFS"), f"mount of a read-only device for writing: {came}, expected EACCES or EROFS"


@pytest.mark.needs("device")
@pytest.mark.requires("read-write", "remount")
def test_read_only_device_made_writable_by_a_remount(corruptible: Corruptible, read_only_device: str) -> None:
    """A remount of a read-only device for writing is refused, and the mount stays as it was."""
    came, wrote = corruptible.call(refused_mounts.read_only_device_remounted, read_only_device)
    assert came in ("EACCES", "EROFS"), f"remount of a read-only device for writing: {came}, expected EACCES or EROFS"
    assert wrote == "EROFS", f"the remount was refused, and a file made after it: {wrote}, expected EROFS"


@pytest.mark.needs("lasting")
@pytest.mark.requires("read-write")
def test_mounted_twice(target: Target, corruptible: Corruptible) -> None:
    """On the same directory and elsewhere, in another mode: refused, or the same filesystem. Nothing may be lost."""
    corruptible.trial("whole", mounts=[target.mount_options_ro]).must_be_safe()
    on_top, elsewhere, kept = corruptible.call(refused_mounts.mounted_twice)
    for where, came in (("on the same directory", on_top), ("read-only elsewhere", elsewhere)):
        assert came in ("first", "EBUSY", "EINVAL"), (
            f"a second mount {where}: {quoted(came)}; expected EBUSY, EINVAL, or the content of the first"
        )
    assert kept == ["first", "second"], f"after both mounts these of the two files are there: {listed(kept)}"
