"""A copy of an image of a guest, on this machine, as evidence: compressed on its way, with holes where it is zero."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import zlib
from pathlib import Path
from typing import IO

SUFFIX = ".img"
OF_LAB = ("mkfs", "mount")  # stages that are about the lab's own filesystem, and not one of their checks
KEPT_BYTES = 256 << 20  # of what an image holds; of one that holds more, nothing is kept
IMAGE_BYTES = 16 << 30  # nor of one that is larger
SECONDS = 60.0
READ_BYTES = 1 << 16
GZIP = 16 + zlib.MAX_WBITS  # what zlib calls that format


def packing(image: str) -> str:
    """The script that writes an image, or what the cache of a device has of one, to stdout; nothing is flushed."""
    return f"exec gzip -1 <{shlex.quote(image)}"


def keep(command: list[str], to: Path) -> bool:
    """Copy to a file what a command brings that has a guest run `packing`; whether it is there then, whole.

    What comes is believed as far as it makes sense. Raises OSError when the file can't be written.
    """
    part = to.with_name(f"{to.name}.part")
    try:
        with (
            part.open("wb") as file,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process,
        ):
            late = threading.Timer(SECONDS, process.kill)
            late.start()
            try:
                is_whole = process.stdout is not None and _unpack(process.stdout, file)
            finally:
                process.kill()  # of a stream that was left in its middle; one that came to its end has ended
                late.cancel()
        if is_whole:
            part.rename(to)
        return is_whole
    finally:
        part.unlink(missing_ok=True)


def _unpack(stream: IO[bytes], file: IO[bytes]) -> bool:
    """Write what a stream in gzip's format holds, with holes; whether it came to its end within the limits."""
    unpacker, offset, room = zlib.decompressobj(GZIP), 0, KEPT_BYTES
    packed = b""
    while offset <= IMAGE_BYTES and room >= 0:
        packed = packed or stream.read(READ_BYTES)
        if not packed:
            break
        try:
            block = unpacker.decompress(packed, READ_BYTES)
        except zlib.error:
            return False
        packed = unpacker.unconsumed_tail
        if block.strip(b"\0"):
            os.pwrite(file.fileno(), block, offset)
            room -= len(block)
        offset += len(block)
    os.truncate(file.fileno(), offset)
    return bool(unpacker.eof and not unpacker.unused_data and offset <= IMAGE_BYTES and room >= 0)
