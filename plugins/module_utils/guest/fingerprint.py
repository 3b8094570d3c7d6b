"""Whether files are the ones that were written once: told by their content, wherever they were copied to since.

Reading all of a saved guest takes a fifth of a second and more. So it is read once for each boot of this machine, and
again when the kernel's own time of the last change (ctime), which nobody can set, says that a file isn't the one that
was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 20
SEEN = "verified"  # file beside those that were read, which says when


def fingerprint(path: Path) -> str:
    """sha256 of a file's size and of its blocks that aren't zeros, so that a hole and zeros are the same."""
    total = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        total.update(f"{os.fstat(file.fileno()).st_size}\n".encode())
        for offset, block in blocks(file, BLOCK):
            total.update(f"{offset}\n".encode())
            total.update(block)
    return total.hexdigest()


def blocks(file: IO[bytes], length: int) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of so many bytes of a file that aren't zeros, each behind its offset; holes aren't read."""
    size, offset, zeros = os.fstat(file.fileno()).st_size, 0, bytes(length)
    while offset < size:
        try:
            offset = os.lseek(file.fileno(), offset, os.SEEK_DATA) // length * length
        except OSError:
            break  # nothing but a hole is left
        block = os.pread(file.fileno(), length, offset)
        if block != zeros[: len(block)]:
            yield offset, block
        offset += length


def fingerprints(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """The fingerprints of files of a directory, noted as read."""
    found = {name: fingerprint(directory / name) for name in names}
    _note(directory, found)
    return found


def are_the_same(directory: Path, wanted: dict[str, str], *, read: bool = False) -> bool:
    """Whether the files of a directory are what they were; `read` reads them whatever was noted."""
    names = list(wanted)
    with contextlib.suppress(OSError, ValueError):
        if not read and json.loads((directory / SEEN).read_text()) == _described(directory, wanted):
            return True
    with contextlib.suppress(OSError):
        return fingerprints(directory, names) == wanted
    return False


def _described(directory: Path, found: dict[str, str]) -> dict[str, Any]:
    """What tells that nothing was written since: the boot of this machine, and of each file its inode and ctime."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    stats = {name: (directory / name).stat() for name in found}
    files = {name: [of.st_dev, of.st_ino, of.st_size, of.st_ctime_ns, found[name]] for name, of in stats.items()}
    return {"boot": boot, "files": files}


def _note(directory: Path, found: dict[str, str]) -> None:
    """Keep what was read. Where it can't be kept, the files are read each time."""
    temporary = directory / f".{SEEN}.{os.getpid()}"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(_described(directory, found)) + "\n")
        temporary.replace(directory / SEEN)
