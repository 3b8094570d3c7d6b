"""Ways of data to the disk: mapped memory, and what was synced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# Writes a file, syncs it in one of these ways, and copies the device with the file still open. Then unmounts: two
# filesystems that claim to be the same one are not mounted at once.
SYNCS = {
    "fsync": "os.fsync(file); os.fsync(directory)",
    "fdatasync": "os.fdatasync(file); os.fsync(directory)",
    "syncfs": "syncfs()",
}
SYNC_AND_COPY = """
name, sync, twin = arguments
directory, file = os.open(".", os.O_RDONLY), os.open(name, os.O_CREAT | os.O_RDWR)
os.write(file, name.encode() * 10000)
exec(sync)
with open(twin, "r+b") as copy:
    for offset, block in blocks(fs.image):
        os.pwrite(copy.fileno(), block, offset)
    os.fsync(copy)
os.close(directory)
os.close(file)
fs.unmount()
"""


@pytest.mark.requires("mmap")
def test_mapped_memory_reaches_the_disk(mounted: Scratch) -> None:
    """Databases and linkers write that way."""
    code = """
    with open("mapped", "w+b") as file:
        file.truncate(12345)
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[4090:4102] = b"across pages"
            memory[12340:] = b"ended"
            memory.flush()
            file.seek(4090)
            at_once = file.read(12).decode()
    fs.remount()
    wanted = bytes(4090) + b"across pages" + bytes(12340 - 4102) + b"ended"
    with open("mapped", "r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        answer({"read at once": at_once, "mapped again": memory[:] == wanted, "read again": file.read() == wanted})
    """
    assert mounted.run(code) == {"read at once": "across pages", "mapped again": True, "read again": True}


@pytest.fixture
def twin(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, for a copy of the first."""
    resource = Scratch(guest, lab, "twin", on_image=True)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.mark.requires("sync", "persistent")
@pytest.mark.parametrize("way", SYNCS)
def test_synced_file_is_on_the_device(mounted: Scratch, twin: Scratch, way: str) -> None:
    """The device as it is at that moment, with the filesystem still mounted, is what a power cut would leave."""
    mounted.run(SYNC_AND_COPY, f"by-{way}", SYNCS[way], twin.device)
    try:
        found = twin.run("fs.mount(); answer(read(arguments[0])); fs.unmount()", f"by-{way}")
        assert (len(found), found.replace(f"by-{way}", "")) == (10000 * len(f"by-{way}"), "")
    finally:
        mounted.mount()
