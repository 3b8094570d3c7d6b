"""A test on a device: the lab's own filesystem, which has all of it."""

from __future__ import annotations

import pytest
from guest import READ_ONLY_PHASE, Guest, Lab

# Arguments: device, mount point, type, options. Reads everything, and answers how many sectors were written meanwhile.
READ = """
device, point, kind, options = arguments
device = os.path.realpath(device)
umount(point)
os.sync()
before = statistics(device)[6]
mount(device, point, kind, options)
for entry in Path(point).rglob("*"):
    if entry.is_file():
        entry.read_bytes()
umount(point)
after = statistics(device)[6]
mount(device, point, kind, options)
answer(after - before)
"""

# Arguments: device, mount point, type, options. Writes files, and answers what is there after a remount.
KEEP = """
device, point, kind, options = arguments
device = os.path.realpath(device)
for number in range(20):
    write(f"{point}/kept-{number}", str(number) * 10000)
umount(point)
mount(device, point, kind, options)
answer([number for number in range(20) if read(f"{point}/kept-{number}") != str(number) * 10000])
"""


@pytest.fixture(autouse=True)
def _on_a_device(lab: Lab) -> None:
    if not lab.device:
        pytest.skip("no device is tested")


def test_reading_writes_nothing(guest: Guest, lab: Lab) -> None:
    """In the read-only phase, mkfs is all that wrote to the device."""
    if lab.phase != READ_ONLY_PHASE:
        pytest.skip(f"phase {lab.phase} is not read-only")
    arguments = (lab.device, lab.mount_point, lab.filesystem_type, lab.mount_options())
    assert guest.python(READ, *arguments, seconds=120) == 0, "sectors were written under a read-only mount"


@pytest.mark.requires("read-write", "persistent")
def test_files_are_kept(guest: Guest, lab: Lab) -> None:
    """On the device itself, not on a part of it."""
    arguments = (lab.device, lab.mount_point, lab.filesystem_type, lab.mount_options())
    assert guest.python(KEEP, *arguments, seconds=120) == [], "files changed over a remount"
