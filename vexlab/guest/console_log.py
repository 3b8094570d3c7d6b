"""The console's log, in which the middle of a flood is a hole; see plugins/module_utils/guest/console.py."""

from __future__ import annotations

import os
import re
from pathlib import Path

CUT = "[vexlab: {} bytes of the console were not kept]"
CUT_LINE = re.compile(r"^\[vexlab: \d+ bytes of the console were not kept\]$")


def read(path: Path, start: int = 0, end: int | None = None) -> str:
    """What is kept of the log from one offset to another, with a line in place of what isn't; raises OSError."""
    parts: list[bytes] = []
    with path.open("rb", buffering=0) as log:
        size = os.fstat(log.fileno()).st_size if end is None else end
        offset = start
        while offset < size:
            data = _next(log.fileno(), offset, os.SEEK_DATA, size)
            if data > offset:
                parts.append(f"\n{CUT.format(data - offset)}\n".encode())
            offset = _next(log.fileno(), data, os.SEEK_HOLE, size)
            parts.append(os.pread(log.fileno(), offset - data, data))
    return b"".join(parts).decode(errors="replace")


def _next(descriptor: int, offset: int, kind: int, end: int) -> int:
    """Where the next data or hole begins; `end` when there is none before it."""
    try:
        return min(os.lseek(descriptor, offset, kind), end)
    except OSError:
        return end


def copy(path: Path, target: Path) -> None:
    """Copy what is kept of the log, without the hole; raises OSError."""
    target.write_text(read(path), encoding="utf-8", errors="replace")
