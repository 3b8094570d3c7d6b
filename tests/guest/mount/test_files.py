"""Content of regular files."""

from __future__ import annotations

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# Around the borders of a page and of what inodes point to directly, with single and with double indirection.
SIZES = [0, 1, 4095, 4096, 4097, 49_153, 4_243_457]

ERRORS = {
    "create what exists": ("os.open('file', os.O_CREAT | os.O_EXCL)", "EEXIST"),
    "open what isn't there": ("os.open('missing', os.O_RDONLY)", "ENOENT"),
    "remove what isn't there": ("os.unlink('missing')", "ENOENT"),
    "go through a file": ("os.open('file/x', os.O_RDONLY)", "ENOTDIR"),
    "write to what is open for reading": ("os.write(os.open('file', os.O_RDONLY), b'x')", "EBADF"),
}

# Writes a file of each size and reads it back. Each 8 bytes tell where they belong, so that exchanged blocks show.
PATTERN = """
from array import array

def pattern(size):
    return array("Q", range(size // 8 + 1)).tobytes()[:size]

sizes = arguments[0]
for size in sizes:
    write(f"size-{size}", pattern(size))
fs.remount()
found = {}
for size in sizes:
    data, wanted = Path(f"size-{size}").read_bytes(), pattern(size)
    differs = next((i for i, (a, b) in enumerate(zip(data, wanted)) if a != b), None) if data != wanted else None
    found[size] = [len(data), differs]
answer(found)
"""


@pytest.fixture(scope="module")
def outcome(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    mounted.run("write('file', 'content')")
    return guest.attempts(mounted.point, {name: statement for name, (statement, _) in ERRORS.items()})


@pytest.mark.parametrize("attempt", ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """Programs decide by the errno."""
    assert outcome[attempt] == ERRORS[attempt][1]


@pytest.fixture(scope="module")
def reread(mounted: Scratch) -> dict[str, list[int | None]]:
    """For each size, how many bytes read after a remount, and the place of the first that is wrong."""
    found: dict[str, list[int | None]] = mounted.run(PATTERN, SIZES)
    return found


@pytest.mark.parametrize("size", SIZES)
def test_content_is_what_was_written(reread: dict[str, list[int | None]], size: int) -> None:
    """From the device, after the caches were dropped with the mount."""
    assert reread[str(size)] == [size, None]


def test_big_file_keeps_its_content(mounted: Scratch) -> None:
    """20 MiB of noise in which every block is told from every other."""
    code = """
    data = bytearray(os.urandom(1 << 20))
    def part(number):
        for block in range(256):
            data[block * 4096 : block * 4096 + 8] = struct.pack("Q", number * 256 + block)
        return data
    with open("big", "wb") as file:
        for number in range(20):
            file.write(part(number))
    fs.remount()
    with open("big", "rb") as file:
        wrong = [number for number in range(20) if file.read(1 << 20) != part(number)]
        more = file.read(1)
    os.unlink("big")
    answer([wrong, len(more)])
    """
    assert mounted.run(code, seconds=120) == [[], 0], "which MiB read otherwise than written, and what follows them"


def test_file_is_appended_to(mounted: Scratch) -> None:
    """In three steps, with a remount between: the size on disk counts, not the one in memory."""
    code = """
    for step in "one", "two", "three":
        write("append", step, "a")
        fs.remount()
    answer(read("append"))
    """
    assert mounted.run(code) == "onetwothree"


def test_middle_is_overwritten(mounted: Scratch) -> None:
    """A write across the border of two blocks leaves what is around it."""
    code = """
    write("middle", b"a" * 12288)
    descriptor = os.open("middle", os.O_WRONLY)
    os.pwrite(descriptor, b"BBBB", 4094)
    os.close(descriptor)
    fs.remount()
    answer(read("middle"))
    """
    assert mounted.run(code) == "a" * 4094 + "BBBB" + "a" * (12288 - 4098)


def test_rewriting_replaces(mounted: Scratch) -> None:
    """A shorter content over a longer one; nothing of the old is behind it."""
    code = """
    write("again", bytes(9000))
    write("again", "short")
    fs.remount()
    answer([os.stat("again").st_size, read("again")])
    """
    assert mounted.run(code) == [5, "short"]


def test_deleted_file_stays_deleted(mounted: Scratch) -> None:
    """Also when another name was made after it."""
    code = """
    write("gone", "x")
    syncfs()
    os.unlink("gone")
    write("other", "y")
    at_once = os.path.exists("gone")
    fs.remount()
    answer([at_once, os.path.exists("gone"), read("other")])
    """
    assert mounted.run(code) == [False, False, "y"]


def test_file_without_a_name_can_be_read(mounted: Scratch) -> None:
    """Its blocks belong to whoever has it open, though other files are written meanwhile."""
    code = """
    write("open", "mine")
    file = open("open")
    os.unlink("open")
    write("other", bytes(1 << 20))
    syncfs()
    answer([os.path.exists("open"), file.read()])
    """
    assert mounted.run(code) == [False, "mine"]
