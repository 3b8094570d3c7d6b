"""Ways of data to the disk: mapped memory, and what was synced."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

MAPPED = """
import mmap, sys
with open(sys.argv[1], "w+b") as file:
    file.truncate(12345)
    with mmap.mmap(file.fileno(), 0) as memory:
        memory[4090:4102] = b"across pages"
        memory[12340:] = b"ended"
        memory.flush()
        file.seek(4090)
        assert file.read(12) == b"across pages", "read(2) does not see what was stored"
"""

READ_MAPPED = """
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
    wanted = bytes(4090) + b"across pages" + bytes(12340 - 4102) + b"ended"
    assert memory[:] == wanted, "the mapping differs from what was stored"
    assert file.read() == wanted, "read(2) differs from what was stored"
"""

# Writes a file, syncs it in one of these ways, and leaves it open, dirty in no way of its own.
SYNCS = {
    "fsync": "os.fsync(file); os.fsync(directory)",
    "fdatasync": "os.fdatasync(file); os.fsync(directory)",
    "syncfs": "subprocess.run(['sync', '-f', '.'], check=True)",
}
WRITE_AND_SYNC = """
import os, subprocess, sys
os.chdir(sys.argv[1])
directory, file = os.open(".", os.O_RDONLY), os.open(sys.argv[2], os.O_CREAT | os.O_RDWR)
os.write(file, sys.argv[2].encode() * 10000)
exec(sys.argv[3])
"""


@pytest.mark.requires("mmap")
def test_mapped_memory_reaches_the_disk(guest: Guest, mounted: Scratch) -> None:
    """Databases and linkers write that way."""
    guest.python(MAPPED, f"{mounted.point}/mapped")
    mounted.remount()
    guest.python(READ_MAPPED, f"{mounted.point}/mapped")


@pytest.fixture
def twin(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, for a copy of the first."""
    resource = Scratch(guest, lab, "twin")
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.mark.requires("sync", "persistent")
@pytest.mark.parametrize("way", SYNCS)
def test_synced_file_is_on_the_device(guest: Guest, mounted: Scratch, twin: Scratch, way: str) -> None:
    """The device as it is at that moment, with the filesystem still mounted, is what a power cut would leave."""
    write = shlex.join(["python3", "-c", WRITE_AND_SYNC, mounted.point, f"by-{way}", SYNCS[way]])
    copy = f"cp --sparse=always {mounted.image} {twin.image}; losetup --set-capacity {twin.device}"
    guest.ok(f"{write}; {copy}; umount {mounted.point}")
    try:
        twin.mount()
        found = guest.ok(f"wc -c <{twin.point}/by-{way}; sed 's/by-{way}//g' {twin.point}/by-{way}")
        assert found == str(10000 * len(f"by-{way}"))
    finally:
        mounted.mount()
