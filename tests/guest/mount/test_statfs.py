"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import pytest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "statfs")

# Free bytes once all is written.
FREE = """
    def free():
        os.sync()
        seen = os.statvfs(fs.point)
        return seen.f_bfree * seen.f_frsize
"""


def test_sizes_make_sense(mounted: Scratch) -> None:
    """Of the device's order, and no more free than there is."""
    code = """
    seen = os.statvfs(".")
    answer([seen.f_frsize, seen.f_blocks, seen.f_bfree, seen.f_bavail, seen.f_namemax])
    """
    block, total, free, available, longest = mounted.run(code)
    assert mounted.size // 2 <= block * total <= mounted.size
    assert 0 < available <= free <= total
    assert 14 <= longest <= 4096


def test_free_space_falls_and_comes_back(mounted: Scratch) -> None:
    """Space that is leaked by each file removed fills a disk that holds nothing."""
    code = """
    import time
    before = free()
    write("large", bytes(16 << 20))
    full = free()
    os.unlink("large")
    deadline = time.monotonic() + 30  # freeing may take a while
    after = free()
    while after < before - (1 << 20) and time.monotonic() < deadline:
        time.sleep(0.2)
        after = free()
    answer([before, full, after])
    """
    before, full, after = mounted.run(FREE + code)
    assert full <= before - (16 << 20), f"16 MiB were written, and {before - full} bytes are gone"
    assert after >= before - (1 << 20), f"{before - after} bytes were not given back"


def test_free_space_is_the_same_after_a_remount(mounted: Scratch) -> None:
    """What is kept in memory and what is on disk agree, with room for what the filesystem itself writes."""
    code = """
    write("kept", bytes(3 << 20))
    write("x", bytes(2 << 20))
    syncfs()
    os.unlink("x")
    before = free()
    fs.remount()
    answer([before, free()])
    """
    before, after = mounted.run(FREE + code)
    assert abs(after - before) <= 1 << 20, f"{before} bytes were free, and {after} after the remount"
