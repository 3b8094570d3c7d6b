"""A dump of a guest's memory in the form that debuggers read.

QEMU writes it as a stream (makedumpfile's flattened format: a header, then blocks that each tell their place), and
leaves out which kernel it is of (struct new_utsname in the header of a kdump-compressed file); drgn refuses a dump
without. The kernel itself has said it, in VMCOREINFO. Both forms are described in makedumpfile(8) and in the file
IMPLEMENTATION of its sources.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

STREAM = b"makedumpfile"
STREAM_HEADER = 4096  # bytes
BLOCK = struct.Struct(">qq")  # its place in the file and its length, in bytes; a negative place ends the stream
FIELD = 65  # bytes of each field of struct new_utsname
SYSTEM_NAME = 8 + 4  # where the first of them is: sysname, nodename, release, version, machine, domainname
VMCOREINFO = struct.Struct("<QQ")  # in the second block of the file: its place and its length, in bytes
VMCOREINFO_AT = 4096 + 32
RELEASE = b"OSRELEASE="


def assemble(path: Path) -> None:
    """Replace the stream that QEMU wrote by the file that it stands for, with the kernel's release in it.

    Raises OSError, and ValueError when it is no such stream or was cut.
    """
    made = path.with_name(f"{path.name}.assembled")
    try:
        with path.open("rb") as stream, made.open("w+b") as file:
            os.fchmod(file.fileno(), 0o400)
            _unpack(stream, file)
            _name(file)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _unpack(stream: BinaryIO, file: BinaryIO) -> None:
    if not stream.read(STREAM_HEADER).startswith(STREAM):
        raise ValueError("QEMU wrote it in a form that isn't known")
    while True:
        place, length = BLOCK.unpack(_exactly(stream, BLOCK.size))
        if place < 0:
            return
        file.seek(place)
        file.write(_exactly(stream, length))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    if len(block := stream.read(length)) != length:
        raise ValueError("it was cut")
    return block


def _name(file: BinaryIO) -> None:
    """Fill in the names that the header lacks; raises ValueError when the kernel has told nothing of itself."""
    file.seek(VMCOREINFO_AT)
    place, length = VMCOREINFO.unpack(_exactly(file, VMCOREINFO.size))
    file.seek(place)
    told = file.read(min(length, 1 << 16)).splitlines()
    release = next((line.removeprefix(RELEASE) for line in told if line.startswith(RELEASE)), b"")
    if not release:
        raise ValueError("the guest's kernel did not say what it is (its module qemu_fw_cfg does), so nothing reads it")
    for number, name in enumerate((b"Linux", b"guest", release, b"#1")):
        file.seek(SYSTEM_NAME + number * FIELD)
        file.write(name[: FIELD - 1])
