"""statfs(2) and the accounting of space behind it."""

from __future__ import annotations

import pytest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "statfs")


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


def test_free_inodes_fall_and_come_back(mounted: Scratch) -> None:
    """A number that is leaked by each file removed ends with an empty disk on which no file can be made."""
    code = """
    import time
    def free_inodes():
        syncfs()
        return os.statvfs(".").f_ffree

    names = [f"inode-{number}" for number in range(100)]
    before = free_inodes()
    for name in names:
        write(name, name)
    during = free_inodes()
    for name in names:
        os.unlink(name)
    deadline = time.monotonic() + 30  # freeing may take a while
    while (after := free_inodes()) < before - 10 and time.monotonic() < deadline:
        time.sleep(0.2)
    answer([before, during, after])
    """
    before, during, after = mounted.run(code)
    if during == before:
        pytest.skip("statfs of this filesystem doesn't count inodes: 100 files more are not seen")
    assert during <= before - 100, f"100 files were made, and {before - during} inodes are gone"
    assert after >= before - 10, f"{before - after} of the inodes of 100 files were not given back"


def test_free_space_falls_and_comes_back(mounted: Scratch) -> None:
    """Space that is leaked by each file removed fills a disk that holds nothing."""
    code = """
    before = free()
    write("large", bytes(16 << 20))
    full = free()
    os.unlink("large")
    answer([before, full, free(before - (1 << 20))])
    """
    before, full, after = mounted.run(code)
    # A filesystem that frees later may give back meanwhile what was used before.
    assert full <= before - (15 << 20), f"16 MiB were written, and {before - full} bytes are gone"
    assert after >= before - (1 << 20), f"{before - after} bytes were not given back"


def test_free_space_is_the_same_after_a_remount(mounted: Scratch) -> None:
    """What is kept in memory and what is on disk agree, with room for what the filesystem itself writes."""
    code = """
    write("kept", bytes(3 << 20))
    empty = free()
    write("x", bytes(2 << 20))
    syncfs()
    os.unlink("x")
    before = free(empty - (1 << 19))  # what is given back only later would be more after the remount
    fs.remount()
    answer([before, free()])
    """
    before, after = mounted.run(code)
    assert abs(after - before) <= 1 << 20, f"{before} bytes were free, and {after} after the remount"
