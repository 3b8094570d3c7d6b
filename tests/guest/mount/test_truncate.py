"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

from typing import Any

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

TRUNCATE, SPARSE = pytest.mark.requires("truncate"), pytest.mark.requires("sparse-files")

# A file's name, how it is made, its length, and how many of its bytes aren't zero.
CASES: dict[str, tuple[str, int, int, Any]] = {
    "cut within a block": ("yes | head -c 20000 >F; truncate -s 5000 F", 5000, 5000, TRUNCATE),
    "cut at a block": ("yes | head -c 20000 >F; truncate -s 4096 F", 4096, 4096, TRUNCATE),
    "cut to nothing": ("yes | head -c 20000 >F; truncate -s 0 F", 0, 0, TRUNCATE),
    "grown": ("printf abc >F; truncate -s 100000 F", 100000, 3, TRUNCATE),
    # What was deleted must not come back when the file grows again, neither from memory nor from the disk.
    "cut and grown": ("yes | head -c 20000 >F; truncate -s 4100 F; truncate -s 20000 F", 20000, 4100, TRUNCATE),
    "written, cut, written and grown": (
        "yes | head -c 20000 >F; sync -f F; truncate -s 4100 F; sync -f F; truncate -s 20000 F", 20000, 4100, TRUNCATE,
    ),
    # The gap must read as zeros, and not as what its blocks held when they were another file's.
    "written behind its end": (
        "yes | head -c 4M >noise; sync -f noise; rm noise; printf a >F; "
        "printf z | dd of=F bs=1 seek=300000 conv=notrunc status=none", 300001, 2, (),
    ),
    "with a hole": (
        "truncate -s 16M F; yes | head -c 4096 | dd of=F bs=4096 seek=2000 conv=notrunc status=none",
        16 << 20, 4096, SPARSE,
    ),
}  # fmt: skip

CASE = pytest.mark.parametrize("case", [pytest.param(name, marks=case[3]) for name, case in CASES.items()])

# For each file: its size, how many bytes of it read, how many of them aren't zero, and how much room it takes.
LENGTHS = """for name in "$@"; do
echo "$name=$(stat -c %s "$name") $(wc -c <"$name") $(tr -d '\\0' <"$name" | wc -c) $(($(stat -c %b "$name") * 512))"
done"""


def lengths(guest: Guest, scratch: Scratch) -> dict[str, list[int]]:
    """What LENGTHS says of each file."""
    lines = guest.ok(f"cd {scratch.point}; set -- *=*; {LENGTHS}").splitlines()
    pairs = [line.removeprefix("file=").split("=") for line in lines]
    return {name: [int(number) for number in numbers.split()] for name, numbers in pairs}


@pytest.fixture(scope="module")
def at_once(guest: Guest, mounted: Scratch) -> dict[str, list[int]]:
    """The files as they are just after they were made."""
    made = [case[0].replace(" F", f" 'file={name}'").replace(">F", f">'file={name}'").replace("=F", f"='file={name}'")
            for name, case in CASES.items()]  # fmt: skip
    guest.ok(f"cd {mounted.point}; {'; '.join(made)}", seconds=120)
    return lengths(guest, mounted)


@pytest.fixture(scope="module")
def remounted(guest: Guest, mounted: Scratch, at_once: dict[str, list[int]]) -> dict[str, list[int]]:
    """The files as they are on the device."""
    assert at_once
    mounted.remount()
    return lengths(guest, mounted)


@CASE
def test_length_and_content_at_once(at_once: dict[str, list[int]], case: str) -> None:
    """As it is in memory."""
    assert at_once[case][:3] == [CASES[case][1], CASES[case][1], CASES[case][2]]


@CASE
def test_length_and_content_after_a_remount(remounted: dict[str, list[int]], case: str) -> None:
    """As it is on disk."""
    assert remounted[case][:3] == [CASES[case][1], CASES[case][1], CASES[case][2]]


@pytest.mark.requires("sparse-files")
def test_hole_takes_no_room(remounted: dict[str, list[int]]) -> None:
    """16 MiB with one block of data."""
    assert 4096 <= remounted["with a hole"][3] < 1 << 20
