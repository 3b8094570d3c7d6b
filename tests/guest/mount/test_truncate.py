"""Files that are cut, lengthened, or full of holes."""

from __future__ import annotations

from typing import Any

import pytest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

TRUNCATE, SPARSE = pytest.mark.requires("truncate"), pytest.mark.requires("sparse-files")

# How the file F is made, its length, and how many of its bytes aren't zero.
CASES: dict[str, tuple[str, int, int, Any]] = {
    "cut within a block": ("write(F, yes(20000)); os.truncate(F, 5000)", 5000, 5000, TRUNCATE),
    "cut at a block": ("write(F, yes(20000)); os.truncate(F, 4096)", 4096, 4096, TRUNCATE),
    "cut to nothing": ("write(F, yes(20000)); os.truncate(F, 0)", 0, 0, TRUNCATE),
    "grown": ("write(F, 'abc'); os.truncate(F, 100000)", 100000, 3, TRUNCATE),
    # What was deleted must not come back when the file grows again, neither from memory nor from the disk.
    "cut and grown": ("write(F, yes(20000)); os.truncate(F, 4100); os.truncate(F, 20000)", 20000, 4100, TRUNCATE),
    "written, cut, written and grown": (
        "write(F, yes(20000)); syncfs(F); os.truncate(F, 4100); syncfs(F); os.truncate(F, 20000)",
        20000, 4100, TRUNCATE,
    ),
    # The gap must read as zeros, and not as what its blocks held when they were another file's.
    "written behind its end": (
        "write('noise', yes(4 << 20)); syncfs('noise'); os.unlink('noise'); write(F, 'a'); write_at(F, 300000, b'z')",
        300001, 2, (),
    ),
    "with a hole": (
        "write(F, ''); os.truncate(F, 16 << 20); write_at(F, 2000 * 4096, yes(4096))", 16 << 20, 4096, SPARSE,
    ),
}  # fmt: skip

CASE = pytest.mark.parametrize("case", [pytest.param(name, marks=case[3]) for name, case in CASES.items()])

# For each file: its size, how many bytes of it read, how many of them aren't zero, and how much room it takes; or the
# errno with which it could not be made.
LENGTHS = """
def yes(size):
    return b"y\\n" * (size // 2)

def write_at(name, offset, data):
    descriptor = os.open(name, os.O_WRONLY)
    os.pwrite(descriptor, data, offset)
    os.close(descriptor)

def lengths(name):
    if made[name] != "done":
        return [made[name]]
    seen, data = os.stat(f"file={name}"), Path(f"file={name}").read_bytes()
    return [seen.st_size, len(data), len(data) - data.count(0), seen.st_blocks * 512]

made = {}
for name, statements in arguments[0].items():
    F = f"file={name}"
    made[name] = attempt(statements)
at_once = {name: lengths(name) for name in made}
fs.remount()
answer([at_once, {name: lengths(name) for name in made}])
"""


@pytest.fixture(scope="module")
def both(mounted: Scratch) -> list[dict[str, list[Any]]]:
    """What LENGTHS says of the files, before and after a remount."""
    found: list[dict[str, list[Any]]] = mounted.run(LENGTHS, {name: case[0] for name, case in CASES.items()})
    return found


@pytest.fixture
def at_once(both: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The files as they are just after they were made."""
    return both[0]


@pytest.fixture
def remounted(both: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The files as they are on the device."""
    return both[1]


@CASE
def test_length_and_content_at_once(at_once: dict[str, list[Any]], case: str) -> None:
    """As it is in memory."""
    assert at_once[case][:3] == [CASES[case][1], CASES[case][1], CASES[case][2]]


@CASE
def test_length_and_content_after_a_remount(remounted: dict[str, list[Any]], case: str) -> None:
    """As it is on disk."""
    assert remounted[case][:3] == [CASES[case][1], CASES[case][1], CASES[case][2]]


@pytest.mark.requires("sparse-files")
def test_hole_takes_no_room(remounted: dict[str, list[Any]]) -> None:
    """16 MiB with one block of data."""
    assert 4096 <= remounted["with a hole"][3] < 1 << 20
