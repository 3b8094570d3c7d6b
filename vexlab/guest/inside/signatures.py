"""What else a device may carry: partition tables, RAID, volume managers, encryption. Written as blkid(8) knows it."""

from __future__ import annotations

import binascii
import hashlib
import os
import struct
import uuid
from collections.abc import Callable

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import size_of

SECTOR = 512
SOMEBODYS = uuid.UUID("11111111-2222-3333-4444-555555555555")


def put(device: str, *pieces: tuple[int, bytes]) -> None:
    """Write bytes at places of a device; a negative place counts from its end."""
    size = size_of(device)
    with open(device, "r+b") as file:
        for place, content in pieces:
            os.pwrite(file.fileno(), content, place if place >= 0 else size + place)
        os.fsync(file)


def mbr(device: str) -> None:
    """A partition table of DOS with one partition of Linux."""
    sectors = size_of(device) // SECTOR
    entry = struct.pack("<B3sB3sII", 0, b"\x20\x21\x00", 0x83, b"\xfe\xff\xff", 2048, sectors - 2048)
    put(device, (440, b"\x78\x56\x34\x12\0\0" + entry), (510, b"\x55\xaa"))


def gpt(device: str) -> None:
    """A GUID partition table with one partition, and its copy at the end of the device."""
    last = size_of(device) // SECTOR - 1
    linux = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
    entry = struct.pack("<16s16sQQQ72s", linux.bytes_le, SOMEBODYS.bytes_le, 2048, last - 2048, 0, b"")
    entries = entry + bytes(127 * 128)

    def header(mine: int, other: int, table: int) -> bytes:
        form = "<8sIIIIQQQQ16sQIII"
        fields = [b"EFI PART", 0x10000, 92, 0, 0, mine, other, 34, last - 33, SOMEBODYS.bytes_le, table, 128, 128,
                  binascii.crc32(entries)]  # fmt: skip
        fields[3] = binascii.crc32(struct.pack(form, *fields))
        return struct.pack(form, *fields)

    protective = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, last)
    put(
        device,
        (446, protective), (510, b"\x55\xaa"),
        (SECTOR, header(1, last, 2)), (2 * SECTOR, entries),
        ((last - 32) * SECTOR, entries), (last * SECTOR, header(last, 1, last - 32)),
    )  # fmt: skip


def raid(device: str, place: int) -> None:
    """The superblock of a member of a RAID that mdadm made, of version 1 at this place."""
    size = size_of(device)
    place = place if place >= 0 else (size + place) // 4096 * 4096
    block = bytearray(256 + 2 * 2)
    struct.pack_into("<IIII16s32sQIIQII", block, 0, 0xA92B4EFC, 1, 0, 0, SOMEBODYS.bytes, b"vexlab:0", 0, 1, 0,
                     size // SECTOR // 2, 0, 2)  # fmt: skip
    struct.pack_into("<QQQ", block, 128, 2048, size // SECTOR - 2048, place // SECTOR)
    struct.pack_into("<I", block, 220, 2)  # max_dev: so many roles follow
    total = sum(struct.unpack(f"<{len(block) // 4}I", block[: len(block) // 4 * 4]))
    struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    put(device, (place, bytes(block)))


def luks1(device: str) -> None:
    """The header of LUKS, version 1."""
    head = struct.pack(">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", 4096, 64,
                       b"d" * 20, b"s" * 32, 1000, str(SOMEBODYS).encode())  # fmt: skip
    slots = b"".join(struct.pack(">II32sII", 0x00AC71F3, 1000, b"s" * 32, 8 + 504 * slot, 4000) for slot in range(8))
    put(device, (0, head + slots))


def luks2(device: str) -> None:
    """The two headers of LUKS, version 2, each of 16 KiB."""
    data = b'{"keyslots":{},"tokens":{},"segments":{},"digests":{},"config":{"json_size":"12288","keyslots_size":"0"}}'

    def header(magic: bytes, place: int) -> bytes:
        content = bytearray(16384)
        struct.pack_into(">6sHQQ48s32s64s40s48sQ", content, 0, magic, 2, 16384, 1, b"vexlab", b"sha256", b"s" * 64,
                         str(SOMEBODYS).encode(), b"", place)  # fmt: skip
        content[4096 : 4096 + len(data)] = data
        content[448:480] = hashlib.sha256(content).digest()
        return bytes(content)

    put(device, (0, header(b"LUKS\xba\xbe", 0)), (16384, header(b"SKUL\xba\xbe", 16384)))


def lvm(device: str) -> None:
    """The label of a physical volume."""
    name = b"0123456789abcdefghijklmnopqrstuv"
    header = struct.pack("<32sQ", name, size_of(device)) + struct.pack(
        "<QQQQQQQQ", 1 << 20, 0, 0, 0, 4096, 1044480, 0, 0
    )
    body = (struct.pack("<I8s", 32, b"LVM2 001") + header).ljust(SECTOR - 20, b"\0")
    crc = binascii.crc32(body, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF  # theirs begins otherwise, and isn't inverted
    put(device, (SECTOR, struct.pack("<8sQI", b"LABELONE", 1, crc) + body))


def swap(device: str) -> None:
    """A swap area, of pages of 4 KiB."""
    header = struct.pack("<III16s16s", 1, size_of(device) // 4096 - 1, 0, SOMEBODYS.bytes, b"swap")
    put(device, (1024, header), (4096 - 10, b"SWAPSPACE2"))


CARRIED: dict[str, Callable[[str], None]] = {
    "DOS partition table": mbr,
    "GPT": gpt,
    "RAID 1.2": lambda device: raid(device, 4096),
    "RAID 1.0": lambda device: raid(device, -8192),
    "LUKS 1": luks1,
    "LUKS 2": luks2,
    "LVM": lvm,
    "swap": swap,
}


def carry(fs: Filesystem, kind: str) -> None:
    """Write one of CARRIED to the device."""
    CARRIED[kind](fs.device)
