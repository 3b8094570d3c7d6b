"""Content of regular files."""

from __future__ import annotations

import json

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

# Writes a file of each size, or reads it back. Each 16 bytes tell where they belong, so that exchanged blocks show.
PATTERN = """
import json, os, sys
os.chdir(sys.argv[1])
told = {}
for size in map(int, sys.argv[3:]):
    wanted = b"".join(b"%015d\\n" % number for number in range(size // 16 + 1))[:size]
    with open(f"size-{size}", sys.argv[2]) as file:
        found = wanted[:file.write(wanted)] if sys.argv[2] == "wb" else file.read()
    differs = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), None) if found != wanted else None
    told[size] = [len(found), differs]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def outcome(guest: Guest, mounted: Scratch) -> dict[str, str]:
    """What came of each attempt."""
    guest.ok(f"echo content >{mounted.point}/file")
    return guest.attempts(mounted.point, {name: statement for name, (statement, _) in ERRORS.items()})


@pytest.mark.parametrize("attempt", ERRORS)
def test_error_is_told(outcome: dict[str, str], attempt: str) -> None:
    """Programs decide by the errno."""
    assert outcome[attempt] == ERRORS[attempt][1]


@pytest.fixture(scope="module")
def reread(guest: Guest, mounted: Scratch) -> dict[str, list[int | None]]:
    """For each size, how many bytes read after a remount, and the place of the first that is wrong."""
    sizes = [str(size) for size in SIZES]
    guest.python(PATTERN, mounted.point, "wb", *sizes)
    mounted.remount()
    found: dict[str, list[int | None]] = json.loads(guest.python(PATTERN, mounted.point, "rb", *sizes))
    return found


@pytest.mark.parametrize("size", SIZES)
def test_content_is_what_was_written(reread: dict[str, list[int | None]], size: int) -> None:
    """From the device, after the caches were dropped with the mount."""
    assert reread[str(size)] == [size, None]


def test_big_file_keeps_its_content(guest: Guest, mounted: Scratch) -> None:
    """20 MiB that don't compress and don't repeat: every block is told from every other."""
    path = f"{mounted.point}/big"
    written = guest.ok(f"head -c 20M /dev/urandom | tee {path} | md5sum", seconds=120)
    mounted.remount()
    assert guest.ok(f"md5sum <{path}; rm {path}", seconds=120) == written


def test_file_is_appended_to(guest: Guest, mounted: Scratch) -> None:
    """In three steps, with a remount between: the size on disk counts, not the one in memory."""
    guest.ok(f"cd {mounted.point}; printf one >append; printf two >>append")
    mounted.remount()
    guest.ok(f"printf three >>{mounted.point}/append")
    mounted.remount()
    assert guest.ok(f"cat {mounted.point}/append") == "onetwothree"


def test_middle_is_overwritten(guest: Guest, mounted: Scratch) -> None:
    """A write across the border of two blocks leaves what is around it."""
    dd = "dd of=middle bs=1 conv=notrunc status=none"
    guest.ok(f"cd {mounted.point}; head -c 12288 /dev/zero | tr '\\0' a >middle; printf BBBB | {dd} seek=4094")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; stat -c %s middle; tr -s a <middle") == "12288\naBBBBa"


def test_rewriting_replaces(guest: Guest, mounted: Scratch) -> None:
    """A shorter content over a longer one; nothing of the old is behind it."""
    guest.ok(f"cd {mounted.point}; head -c 9000 /dev/zero >again; echo short >again")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; wc -c <again; cat again") == "6\nshort"


def test_deleted_file_stays_deleted(guest: Guest, mounted: Scratch) -> None:
    """Also when another name was made after it."""
    guest.ok(f"cd {mounted.point}; echo x >gone; sync -f .; rm gone; echo y >other; [ ! -e gone ]")
    mounted.remount()
    assert guest.ok(f"cd {mounted.point}; [ ! -e gone ]; cat other") == "y"


def test_file_without_a_name_can_be_read(guest: Guest, mounted: Scratch) -> None:
    """Its blocks belong to whoever has it open, though other files are written meanwhile."""
    guest.ok(
        f"cd {mounted.point}; echo mine >open; exec 5<open; rm open; head -c 1M /dev/zero >other; sync -f .; "
        '[ ! -e open ]; [ "$(cat <&5)" = mine ]'
    )
