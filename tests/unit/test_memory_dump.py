"""The file that QEMU's stream stands for, with the names that the kernel has told."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vexlab.guest import memory_dump

NOTE = b"OSRELEASE=6.12.118+deb13-amd64\nPAGESIZE=4096\n"
NOTE_AT = 8192


def stream(note: bytes = NOTE, *, end: bytes = struct.pack(">qq", -1, -1)) -> bytes:
    """What QEMU writes: of a dump with its header, and a page whose place is before that of the note."""
    names = bytes(4 * 65) + b"x86_64".ljust(65, b"\0")  # of the kernel; QEMU knows the machine alone
    blocks = [
        (0, b"KDUMP   " + struct.pack("<I", 6) + names), (NOTE_AT, note), (12288, b"a page"),
        (4096 + 32, struct.pack("<QQ", NOTE_AT, len(note))),
    ]  # fmt: skip
    written = b"".join(struct.pack(">qq", place, len(block)) + block for place, block in blocks)
    return b"makedumpfile".ljust(4096, b"\0") + written + end


def test_blocks_are_where_they_belong_and_the_kernel_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(stream())
    memory_dump.assemble(path)
    found = path.read_bytes()
    assert (found[:8], found[12288:]) == (b"KDUMP   ", b"a page")
    names = [found[12 + 65 * number :][:65].rstrip(b"\0") for number in range(5)]
    assert names == [b"Linux", b"guest", b"6.12.118+deb13-amd64", b"#1", b"x86_64"]
    assert (path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o400, [path])


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b"\x7fELF" + bytes(8000), "isn't known"),
        (stream(end=b""), "was cut"),
        (stream()[:4500], "was cut"),
        (stream(b"PAGESIZE=4096\n"), "did not say what it is"),
    ],
)
def test_what_nobody_could_read_is_told_and_left_as_it_is(tmp_path: Path, written: bytes, problem: str) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(written)
    with pytest.raises(ValueError, match=problem):
        memory_dump.assemble(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (written, [path])
