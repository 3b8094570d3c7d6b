"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "statfs")

# Writes and removes a file; free bytes before, with the file, and after, where freeing may take a while.
ROUND = """
import os, sys, time
def free():
    seen = os.statvfs(".")
    return seen.f_bfree * seen.f_frsize
def settled():
    os.sync()
    return free()
os.chdir(sys.argv[1])
before = settled()
with open("large", "wb") as file:
    file.write(bytes(16 << 20))
full = settled()
os.unlink("large")
deadline = time.monotonic() + 30
after = settled()
while after < before - (1 << 20) and time.monotonic() < deadline:
    time.sleep(0.2)
    after = settled()
print(before, full, after)
"""


def test_sizes_make_sense(guest: Guest, mounted: Scratch) -> None:
    """Of the device's order, and no more free than there is."""
    seen = guest.ok(f"stat -f -c '%S %b %f %a %l' {mounted.point}").split()
    block, total, free, available, longest = map(int, seen)
    assert mounted.size // 2 <= block * total <= mounted.size
    assert 0 < available <= free <= total
    assert 14 <= longest <= 4096


def test_free_space_falls_and_comes_back(guest: Guest, mounted: Scratch) -> None:
    """Space that is leaked by each file removed fills a disk that holds nothing."""
    before, full, after = map(int, guest.python(ROUND, mounted.point).split())
    assert full <= before - (16 << 20), f"16 MiB were written, and {before - full} bytes are gone"
    assert after >= before - (1 << 20), f"{before - after} bytes were not given back"


def test_free_space_is_the_same_after_a_remount(guest: Guest, mounted: Scratch) -> None:
    """What is kept in memory and what is on disk agree, with room for what the filesystem itself writes."""
    show = f"sync; stat -f -c '%f %S' {mounted.point}"
    guest.ok(f"cd {mounted.point}; head -c 3M /dev/zero >kept; head -c 2M /dev/zero >x; sync -f .; rm x")
    before, size = map(int, guest.ok(show).split())
    mounted.remount()
    after, _ = map(int, guest.ok(show).split())
    assert abs(after - before) * size <= 1 << 20
