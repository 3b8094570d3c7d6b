"""A read-only mount reads everything and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

WRITES = {
    "create": "os.open('new', os.O_CREAT | os.O_WRONLY)",
    "open for writing": "os.open('file', os.O_WRONLY)",
    "append": "os.open('file', os.O_WRONLY | os.O_APPEND)",
    "truncate": "os.truncate('file', 0)",
    "unlink": "os.unlink('file')",
    "mkdir": "os.mkdir('new')",
    "rmdir": "os.rmdir('empty')",
    "rename": "os.rename('file', 'new')",
    "link": "os.link('file', 'new')",
    "symlink": "os.symlink('file', 'new')",
    "mknod": "os.mknod('new', stat.S_IFIFO | 0o600)",
    "chmod": "os.chmod('file', 0o777)",
    "chown": "os.chown('file', 1, 1)",
    "utime": "os.utime('file', (1, 1))",
}


@pytest.fixture(scope="module")
def read_only(guest: Guest, lab: Lab, scratch: Scratch) -> Iterator[Scratch]:
    """A filesystem with something in it, mounted read-only."""
    scratch.mount()
    guest.ok(f"cd {scratch.point}; echo content >file; mkdir empty; cd /; umount {scratch.point}")
    before = scratch.digest()
    scratch.mount(lab.mount_options_ro)
    yield scratch
    scratch.unmount()
    assert scratch.digest() == before, "the device changed under a read-only mount"


@pytest.fixture(scope="module")
def outcome(guest: Guest, read_only: Scratch) -> dict[str, str]:
    """What came of each attempt to write."""
    return guest.attempts(read_only.point, WRITES)


@pytest.mark.parametrize("write", WRITES)
def test_write_is_refused(outcome: dict[str, str], write: str) -> None:
    """Each way to change something must say EROFS, and not go into a cache that is never written."""
    assert outcome[write] == "EROFS"


def test_content_reads(guest: Guest, read_only: Scratch) -> None:
    """All that was refused changed nothing that can be seen."""
    assert guest.ok(f"cd {read_only.point}; cat file; ls -d empty file new || true") == "content\nempty\nfile"


def test_device_is_left_alone(guest: Guest, lab: Lab, read_only: Scratch) -> None:
    """Evidence on a damaged disk must not change because somebody looked at it, not even to be changed back later."""
    writes = f"awk '{{print $7}}' /sys/class/block/{read_only.device.rpartition('/')[2]}/stat"
    look = f"find {read_only.point} -type f -exec cat {{}} + >/dev/null"
    read_only.unmount()
    before = read_only.digest()
    mount = read_only.mount_command(lab.mount_options_ro)
    counts = guest.ok(f"{writes}; {mount}; {look}; umount {read_only.point}; sync {read_only.device}; {writes}").split()
    after = read_only.digest()
    read_only.mount(lab.mount_options_ro)
    assert (after, counts[1]) == (before, counts[0]), "sectors were written under a read-only mount"
