"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


def lengths(guest: Guest, scratch: Scratch, name: str) -> list[str]:
    """Size, number of bytes that read, and how many of them aren't zero."""
    count = f"wc -c <{name}; tr -d '\\0' <{name} | wc -c"
    return guest.ok(f"cd {scratch.point}; stat -c %s {name}; {count}").split()


@pytest.mark.requires("truncate")
@pytest.mark.parametrize("size", [5000, 4096, 1, 0])
def test_shrinking_cuts(guest: Guest, mounted: Scratch, size: int) -> None:
    """To within a block, to its border, to nothing."""
    guest.ok(f"cd {mounted.point}; yes | head -c 20000 >cut; truncate -s {size} cut")
    mounted.remount()
    assert lengths(guest, mounted, "cut") == [str(size)] * 3


@pytest.mark.requires("truncate")
def test_growing_gives_zeros(guest: Guest, mounted: Scratch) -> None:
    """What a file is lengthened by has never been written."""
    guest.ok(f"cd {mounted.point}; printf abc >grow; truncate -s 100000 grow")
    mounted.remount()
    assert lengths(guest, mounted, "grow") == ["100000", "100000", "3"]


@pytest.mark.requires("truncate")
@pytest.mark.parametrize("step", ["", "sync -f ."], ids=["at once", "written between"])
def test_what_was_cut_does_not_come_back(guest: Guest, mounted: Scratch, step: str) -> None:
    """The rest of the last block must be zeros when the file grows again, in memory and on disk: it was deleted."""
    guest.ok(
        f"cd {mounted.point}; yes | head -c 20000 >back; {step or ':'}; truncate -s 4100 back; {step or ':'}; "
        "truncate -s 20000 back"
    )
    assert lengths(guest, mounted, "back") == ["20000", "20000", "4100"]
    mounted.remount()
    assert lengths(guest, mounted, "back") == ["20000", "20000", "4100"]


def test_write_behind_the_end_leaves_zeros(guest: Guest, mounted: Scratch) -> None:
    """The gap between the old end and the new data reads as zeros, not as what the blocks held before."""
    noise = "yes | head -c 4M >noise; sync -f .; rm noise"
    guest.ok(
        f"cd {mounted.point}; {noise}; printf a >gap; printf z | dd of=gap bs=1 seek=300000 conv=notrunc status=none"
    )
    mounted.remount()
    assert lengths(guest, mounted, "gap") == ["300001", "300001", "2"]


@pytest.mark.requires("sparse-files")
def test_hole_takes_no_room(guest: Guest, mounted: Scratch) -> None:
    """16 MiB with one block of data in the middle."""
    block = "yes | head -c 4096 | dd of=hole bs=4096 seek=2000 conv=notrunc status=none"
    guest.ok(f"cd {mounted.point}; truncate -s 16M hole; {block}")
    mounted.remount()
    assert lengths(guest, mounted, "hole") == ["16777216", "16777216", "4096"]
    assert int(guest.ok(f"stat -c %b {mounted.point}/hole")) * 512 < 1 << 20
